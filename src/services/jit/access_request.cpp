// Reading a request for access.
#include "services/jit/access_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/time_text.h"

namespace merlon::jit {
namespace {

using resource::ResourceId;
using schema::array_of;
using schema::integer;
using schema::object;
using schema::optional;
using schema::required;
using schema::text;

std::unexpected<Error> refused(std::string_view code, std::string message, std::string target) {
  return fail(ErrorKind::invalid, code, std::move(message), std::move(target));
}

// Azure's reference has endTimeUtc, its examples also a duration: one of the two.
Result<Timestamp> read_end(const JsonObject& json, const PortPolicy& port, const std::string& target,
                           Timestamp now) {
  const auto end_text = string_at(json, "endTimeUtc");
  const auto duration_text = string_at(json, "duration");
  if (end_text.has_value() == duration_text.has_value())
    return refused("InvalidRequestContent",
                   fmt::format("Port {} needs either 'endTimeUtc' or 'duration', and not both.", port.number),
                   target + ".endTimeUtc");
  if (end_text) {
    const auto end = from_rfc3339(*end_text);
    if (!end)
      return refused("InvalidRequestContent", "'" + *end_text + "' is not an RFC 3339 time.",
                     target + ".endTimeUtc");
    if (*end <= now)
      return refused("JitRequestInThePast",
                     fmt::format("The end {} lies in the past: it is {} now.", *end_text, to_rfc3339(now)),
                     target + ".endTimeUtc");
    if (*end - now > port.duration_max)
      return refused(
          "JitRequestTooLong",
          fmt::format("Access to port {} may last {} at most; the request ends after {}.", port.number,
                      to_human_duration(port.duration_max), to_human_duration(*end - now)),
          target + ".endTimeUtc");
    return *end;
  }
  const auto duration = from_iso8601_duration(*duration_text);
  if (!duration || duration->count() <= 0)
    return refused("InvalidRequestContent",
                   "'" + *duration_text + "' is not an ISO 8601 duration such as PT1H.",
                   target + ".duration");
  if (*duration > port.duration_max)
    return refused("JitRequestTooLong",
                   fmt::format("Access to port {} may last {} at most; {} was asked for.", port.number,
                               to_human_duration(port.duration_max), to_human_duration(*duration)),
                   target + ".duration");
  return now + *duration;
}

Result<std::vector<std::string>> read_sources(const JsonObject& json, const PortPolicy& port,
                                              const std::string& target, const IpAddress& peer) {
  std::vector<std::string> sources = TRY(read_source_texts(json, target));
  if (sources.empty()) {
    if (peer.is_loopback())
      return refused(
          "JitSourceRequired",
          "The request comes from the server's own loopback address, which says nothing about where you will "
          "connect from. Name your address in 'allowedSourceAddressPrefix' (--from).",
          target + ".allowedSourceAddressPrefix");
    sources.push_back(peer.text());
  }
  for (std::string& source : sources) {
    const auto prefixes = read_source(source);
    if (!prefixes)
      return refused("InvalidRequestContent", "'" + source + "' is not *, an IP address or a CIDR prefix.",
                     target + ".allowedSourceAddressPrefix");
    if (!is_inside(*prefixes, port.allowed_sources))
      return refused("JitSourceNotAllowed",
                     fmt::format("The policy does not allow access to port {} from {}.", port.number, source),
                     target + ".allowedSourceAddressPrefix");
    source = source_text(*prefixes);
  }
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  return sources;
}

}  // namespace

schema::Shape request_shape() {
  const auto port = object({required("number", integer().with_range(1, 65535)),
                            optional("allowedSourceAddressPrefix", text()),
                            optional("allowedSourceAddressPrefixes", array_of(text()).with_range(1, 64)),
                            optional("endTimeUtc", text()), optional("duration", text())});
  const auto vm = object({required("id", text()), required("ports", array_of(port).with_range(1, 100))});
  return object({required("virtualMachines", array_of(vm).with_range(1, 100)),
                 optional("justification", text().with_range(0, 1024))});
}

Result<AccessRequest> read_request(const Policy& policy, const JsonObject& body, const IpAddress& peer,
                                   Timestamp now) {
  AccessRequest request;
  request.justification = string_at(body, "justification").value_or("");
  std::set<std::pair<std::string, int64_t>> named;  // ten thousand may be
  for (const Json& element : *array_at(body, "virtualMachines")) {
    const JsonObject& json = element.as_object();
    const std::string vm_text = string_at(json, "id").value_or("");
    const std::string target = "virtualMachines[" + vm_text + "]";
    const auto vm = ResourceId::parse(vm_text);
    if (!vm)
      return refused("InvalidRequestContent", "'" + vm_text + "' is not a resource id.", target + ".id");
    const MachinePolicy* machine = policy.machine(*vm);
    if (machine == nullptr)
      return fail(ErrorKind::not_found, "VirtualMachineNotInPolicy",
                  "The virtual machine '" + vm_text + "' is not protected by the policy '" +
                      policy.id.name() + "'. 'merlon jit policy show' lists its machines.",
                  target + ".id");
    for (const Json& port_element : *array_at(json, "ports")) {
      const JsonObject& port_json = port_element.as_object();
      const int64_t number = int_at(port_json, "number").value_or(0);
      const std::string port_target = fmt::format("{}.ports[{}]", target, number);
      const PortPolicy* port = machine->port(number);
      if (port == nullptr)
        return refused(
            "JitPortNotInPolicy",
            fmt::format("Port {} of '{}' is not in the policy '{}'.", number, vm->name(), policy.id.name()),
            port_target + ".number");
      if (!named.emplace(machine->vm.key(), number).second)
        return refused("InvalidRequestContent",
                       fmt::format("Port {} of '{}' is asked for twice.", number, vm->name()),
                       port_target + ".number");
      PortRequest wanted;
      wanted.vm = machine->vm;
      wanted.number = port->number;
      wanted.protocol = port->protocol;
      wanted.sources = TRY(read_sources(port_json, *port, port_target, peer));
      wanted.end = TRY(read_end(port_json, *port, port_target, now));
      wanted.fixed_end = port_json.contains("endTimeUtc");
      request.ports.push_back(std::move(wanted));
    }
  }
  return request;
}

}  // namespace merlon::jit
