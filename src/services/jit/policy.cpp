// The policy's shape and meaning.
#include "services/jit/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::jit {
namespace {

using resource::ResourceId;
using schema::anything;
using schema::array_of;
using schema::defaulted;
using schema::integer;
using schema::object;
using schema::optional;
using schema::read_only;
using schema::required;
using schema::text;
using schema::text_of;

constexpr std::string_view kVmType = "Microsoft.Compute/virtualMachines";

std::unexpected<Error> invalid(std::string message, std::string target) {
  return fail(ErrorKind::invalid, "InvalidRequestContent", std::move(message), std::move(target));
}

machine::Protocol read_protocol(std::string_view name) {
  if (ascii_iequal(name, "TCP")) return machine::Protocol::tcp;
  if (ascii_iequal(name, "UDP")) return machine::Protocol::udp;
  return machine::Protocol::any;
}

Result<PortPolicy> read_port(const JsonObject& json, const std::string& target) {
  PortPolicy port;
  port.number = static_cast<uint16_t>(int_at(json, "number").value_or(0));
  port.protocol = read_protocol(string_at(json, "protocol").value_or("*"));
  auto sources = TRY(read_source_texts(json, target));
  if (sources.empty()) sources = {"*"};
  for (const std::string& source : sources) {
    const auto prefixes = read_source(source);
    if (!prefixes)
      return invalid(fmt::format("'{}' is not *, an IP address or a CIDR prefix.", source),
                     target + ".allowedSourceAddressPrefix");
    port.allowed_sources.insert(port.allowed_sources.end(), prefixes->begin(), prefixes->end());
  }
  const std::string duration = string_at(json, "maxRequestAccessDuration").value_or("PT3H");
  const auto parsed = from_iso8601_duration(duration);
  if (!parsed || parsed->count() <= 0 || *parsed > kDurationMax)
    return invalid(
        fmt::format("The longest access '{}' is not an ISO 8601 duration of at most PT24H.", duration),
        target + ".maxRequestAccessDuration");
  port.duration_max = *parsed;
  return port;
}

}  // namespace

const PortPolicy* MachinePolicy::port(int64_t number) const {
  const auto found =
      std::find_if(ports.begin(), ports.end(), [&](const PortPolicy& p) { return p.number == number; });
  return found == ports.end() ? nullptr : &*found;
}

const MachinePolicy* Policy::machine(const ResourceId& vm) const {
  const auto found =
      std::find_if(machines.begin(), machines.end(), [&](const MachinePolicy& m) { return m.vm == vm; });
  return found == machines.end() ? nullptr : &*found;
}

schema::Shape policy_shape() {
  const auto port = object(
      {required("number", integer().with_range(1, 65535)), required("protocol", text_of({"TCP", "UDP", "*"})),
       optional("allowedSourceAddressPrefix", text()),
       optional("allowedSourceAddressPrefixes", array_of(text())),
       required("maxRequestAccessDuration", text().describe("ISO 8601, at most PT24H"))});
  const auto vm = object({required("id", text().describe("resource id of the virtual machine")),
                          optional("publicIpAddress", text()), required("ports", array_of(port))});
  return object({defaulted("kind", text(), "Basic"), read_only("location", text()),
                 required("properties", object({required("virtualMachines", array_of(vm)),
                                                read_only("requests", anything()),
                                                read_only("provisioningState", text())}))});
}

std::optional<std::vector<IpPrefix>> read_source(std::string_view source) {
  if (source == "*") return std::vector<IpPrefix>{*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0")};
  const auto prefix = IpPrefix::parse(source);
  if (!prefix) return std::nullopt;
  return std::vector<IpPrefix>{*prefix};
}

std::string source_text(const std::vector<IpPrefix>& source) {
  return source.size() == 1 ? source.front().text() : "*";
}

Result<std::vector<std::string>> read_source_texts(const JsonObject& port, std::string_view target) {
  std::vector<std::string> texts;
  const auto one = string_at(port, "allowedSourceAddressPrefix");
  if (const JsonArray* many = array_at(port, "allowedSourceAddressPrefixes"))
    for (const Json& element : *many)
      if (element.is_string()) texts.emplace_back(element.get_string());
  if (one && !one->empty() && !texts.empty())
    return invalid("'allowedSourceAddressPrefix' and 'allowedSourceAddressPrefixes' exclude each other.",
                   std::string(target) + ".allowedSourceAddressPrefix");
  if (one && !one->empty()) texts.push_back(*one);
  return texts;
}

bool is_inside(const std::vector<IpPrefix>& inner, const std::vector<IpPrefix>& outer) {
  return std::all_of(inner.begin(), inner.end(), [&](const IpPrefix& prefix) {
    return std::any_of(outer.begin(), outer.end(),
                       [&](const IpPrefix& whole) { return whole.contains(prefix); });
  });
}

Result<Policy> read_policy(const ResourceId& id, const JsonObject& document) {
  Policy policy;
  policy.id = id;
  const JsonArray* machines = array_at(document, "properties.virtualMachines");
  if (machines == nullptr) return policy;
  std::set<std::string> seen;
  for (const Json& element : *machines) {
    const JsonObject& json = element.as_object();
    const std::string vm_text = string_at(json, "id").value_or("");
    const std::string target = "properties.virtualMachines[" + vm_text + "]";
    const auto vm = ResourceId::parse(vm_text);
    if (!vm || !ascii_iequal(vm->type(), kVmType))
      return invalid("'" + vm_text + "' is not the resource id of a virtual machine.", target + ".id");
    if (!seen.insert(vm->key()).second)
      return invalid("The virtual machine '" + vm->name() + "' stands twice in the policy.", target + ".id");
    if (id.name().size() + vm->name().size() > kNamesMax)
      return invalid(
          fmt::format(
              "The names of the policy and of the machine '{}' have more than {} characters together.",
              vm->name(), kNamesMax),
          target + ".id");
    MachinePolicy machine;
    machine.vm = *vm;
    for (const Json& port_element : *array_at(json, "ports")) {
      const int64_t number = int_at(port_element.as_object(), "number").value_or(0);
      if (machine.port(number) != nullptr)
        return invalid(fmt::format("Port {} stands twice for the virtual machine '{}'.", number, vm->name()),
                       target + ".ports");
      machine.ports.push_back(
          TRY(read_port(port_element.as_object(), fmt::format("{}.ports[{}]", target, number))));
    }
    policy.machines.push_back(std::move(machine));
  }
  return policy;
}

}  // namespace merlon::jit
