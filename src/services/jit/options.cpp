// The options' shape and meaning.
#include "services/jit/options.h"

#include <fmt/format.h>

#include "base/time_text.h"

namespace merlon::jit {
namespace {

using resource::ResourceId;
using schema::array_of;
using schema::boolean;
using schema::defaulted;
using schema::integer;
using schema::object;
using schema::optional;
using schema::required;
using schema::text;

constexpr int64_t kPrincipalsMax = 100;

schema::Shape principals(const std::string& what) {
  return array_of(text().with_check([](std::string_view id) -> std::optional<std::string> {
           if (Uuid::parse(id)) return std::nullopt;
           return "is not the object id of a user, group or service principal";
         }))
      .with_range(0, kPrincipalsMax)
      .describe(what);
}

std::vector<Uuid> ids_in(const JsonObject& json, std::string_view path) {
  std::vector<Uuid> ids;
  if (const JsonArray* array = array_at(json, path))
    for (const Json& element : *array)
      if (const auto id = element.is_string() ? Uuid::parse(element.get_string()) : std::nullopt)
        ids.push_back(*id);
  return ids;
}

Result<Duration> read_wait(const JsonObject& properties) {
  const std::string wait = string_at(properties, "approval.waitsFor").value_or("PT8H");
  const auto parsed = from_iso8601_duration(wait);
  if (!parsed || parsed->count() <= 0 || *parsed > kWaitMax)
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                fmt::format("'{}' is not an ISO 8601 duration of at most P7D, such as PT8H.", wait),
                "properties.approval.waitsFor");
  return *parsed;
}

}  // namespace

schema::Shape options_shape() {
  const auto approval =
      object({defaulted("required",
                        integer().with_range(0, kApprovalsMax).describe("how many others must agree"), 0),
              optional("approvers", principals("who may agree; whoever has the right when empty")),
              defaulted("waitsFor", text().describe("ISO 8601, how long a request waits"), "PT8H")});
  const auto source = object(
      {defaulted("ownAddressOnly", boolean().describe("only the address that the request comes from"), false),
       defaulted("widestIPv4", integer().with_range(0, 32).describe("shortest IPv4 prefix"), 0),
       defaulted("widestIPv6", integer().with_range(0, 128).describe("shortest IPv6 prefix"), 0)});
  const auto port = object({required("number", integer().with_range(1, 65535)),
                            optional("virtualMachineId", text().describe("each of the policy's when absent")),
                            required("requesters", principals("who may ask for this port"))});
  return object({required(
      "properties",
      object(
          {optional("approval", approval),
           defaulted("justificationRequired", boolean().describe("a request must say why"), false),
           defaulted("cutEstablished", boolean().describe("connections are cut when the time is over"),
                     false),
           defaulted("liveServer", boolean().describe("open only while the machine hears the server"), false),
           optional("source", source),
           optional("requesters", principals("who may ask; whoever has the right when empty")),
           optional("ports", array_of(port).with_range(0, 100))}))});
}

Result<Options> read_options(const JsonObject& document) {
  Options options;
  const JsonObject* properties = object_at(document, "properties");
  if (properties == nullptr) return options;
  options.approvals = int_at(*properties, "approval.required").value_or(0);
  options.waits_for = TRY(read_wait(*properties));
  options.approvers = ids_in(*properties, "approval.approvers");
  options.justification_required = bool_at(*properties, "justificationRequired").value_or(false);
  options.cut_established = bool_at(*properties, "cutEstablished").value_or(false);
  options.live_server = bool_at(*properties, "liveServer").value_or(false);
  options.own_address_only = bool_at(*properties, "source.ownAddressOnly").value_or(false);
  options.widest_v4 = static_cast<unsigned>(int_at(*properties, "source.widestIPv4").value_or(0));
  options.widest_v6 = static_cast<unsigned>(int_at(*properties, "source.widestIPv6").value_or(0));
  options.requesters = ids_in(*properties, "requesters");
  if (const JsonArray* ports = array_at(*properties, "ports"))
    for (const Json& element : *ports) {
      const JsonObject& json = element.as_object();
      PortRequesters port;
      port.number = int_at(json, "number").value_or(0);
      port.requesters = ids_in(json, "requesters");
      if (const auto vm = string_at(json, "virtualMachineId")) {
        const auto id = ResourceId::parse(*vm);
        if (!id)
          return fail(ErrorKind::invalid, "InvalidRequestContent", "'" + *vm + "' is not a resource id.",
                      fmt::format("properties.ports[{}].virtualMachineId", port.number));
        port.vm = *id;
      }
      options.ports.push_back(std::move(port));
    }
  return options;
}

const store::TableSpec& StoredOptions::table() {
  static const store::TableSpec spec{"jit_options", {}};
  return spec;
}

Result<StoredOptions> StoredOptions::from_json(const JsonObject& json) {
  StoredOptions stored;
  if (const auto policy = string_at(json, "policy")) stored.policy = *policy;
  if (const JsonObject* document = object_at(json, "document")) stored.document = *document;
  return stored;
}

}  // namespace merlon::jit
