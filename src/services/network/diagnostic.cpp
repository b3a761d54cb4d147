// Network configuration diagnostic: for each flow that is asked about, which rules of which security groups
// were looked at, and what of each matched. Source: azure-rest-api-specs, Microsoft.Network,
// networkWatcher.json (NetworkConfigurationDiagnosticResponse).
#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "services/network/declarations.h"
#include "services/network/watcher.h"

namespace merlon::network {
namespace {

using machine::Flow;
using resource::Call;
using resource::ResourceId;
using resource::Route;

constexpr uint16_t kSomePort = 50'000;  // of the side from which the connection comes
constexpr size_t kProfilesMax = 100;

bool holds(const std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

bool holds(const std::vector<machine::PortRange>& ranges, uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const machine::PortRange& range) {
    return range.first <= port && port <= range.last;
  });
}

struct Evaluated {
  JsonObject json;
  machine::Access access = machine::Access::allow;
};

std::string shown_name(const CompiledRule& rule) {
  return (rule.is_default ? "DefaultRule_" : "UserRule_") + rule.rule.name;
}

Evaluated evaluate(const CompiledLayer& layer, const Flow& flow) {
  JsonArray looked_at;
  const CompiledRule* matched = nullptr;
  for (const CompiledRule& rule : flow.inbound ? layer.inbound : layer.outbound) {
    const machine::FilterRule& filter = rule.filter;
    const bool protocol = filter.protocol == machine::Protocol::any || filter.protocol == flow.protocol;
    const bool source = holds(filter.sources, flow.source);
    const bool destination = holds(filter.destinations, flow.destination);
    const bool source_port = holds(filter.source_ports, flow.source_port);
    const bool destination_port = holds(filter.destination_ports, flow.destination_port);
    looked_at.push_back(JsonObject{{"name", shown_name(rule)},
                                   {"protocolMatched", protocol},
                                   {"sourceMatched", source},
                                   {"sourcePortMatched", source_port},
                                   {"destinationMatched", destination},
                                   {"destinationPortMatched", destination_port}});
    if (!protocol || !source || !destination || !source_port || !destination_port) continue;
    matched = &rule;
    break;
  }
  const machine::Access access = matched == nullptr ? machine::Access::deny : matched->rule.access;
  JsonObject json = {{"networkSecurityGroupId", layer.group_id},
                     {"appliedTo", layer.subnet_id.empty() ? layer.nic_id : layer.subnet_id},
                     {"rulesEvaluationResult", std::move(looked_at)}};
  if (matched != nullptr)
    json["matchedRule"] =
        JsonObject{{"ruleName", shown_name(*matched)}, {"action", machine::access_text(access)}};
  return {std::move(json), access};
}

Result<Flow> flow_of(const JsonObject& profile) {
  Flow flow;
  flow.inbound = string_at(profile, "direction") == "Inbound";
  const std::string protocol = string_at(profile, "protocol").value_or("");
  if (ascii_iequal(protocol, "TCP")) {
    flow.protocol = machine::Protocol::tcp;
  } else if (ascii_iequal(protocol, "UDP")) {
    flow.protocol = machine::Protocol::udp;
  } else {
    return wrong_parameter("protocol", "must be TCP or UDP.");
  }
  flow.source = TRY(address_in(profile, "source"));
  flow.destination = TRY(address_in(profile, "destination"));
  if (flow.source.family() != flow.destination.family())
    return wrong_parameter("destination", "must be of the same address family as source.");
  const std::string port = string_at(profile, "destinationPort").value_or("");
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), flow.destination_port);
  if (error != std::errc() || end != port.data() + port.size())
    return wrong_parameter("destinationPort", "must be a port from 0 to 65535.");
  flow.source_port = kSomePort;
  return flow;
}

// The interface that has this side's address, else the primary one: a packet is judged there by whatever
// address it has.
const CompiledInterface* interface_of(const std::vector<CompiledInterface>& interfaces, const Flow& flow) {
  const IpAddress& local = flow.inbound ? flow.destination : flow.source;
  for (const CompiledInterface& interface : interfaces) {
    const auto& addresses = interface.link.addresses;
    if (std::find(addresses.begin(), addresses.end(), local) != addresses.end()) return &interface;
  }
  return interfaces.empty() ? nullptr : &interfaces.front();
}

JsonObject result_of(const std::vector<CompiledInterface>& interfaces, const JsonObject& profile,
                     const Flow& flow) {
  JsonArray groups;
  machine::Access access = machine::Access::allow;
  if (const CompiledInterface* interface = interface_of(interfaces, flow)) {
    std::vector<const CompiledLayer*> layers;
    for (const CompiledLayer& layer : interface->layers) layers.push_back(&layer);
    if (!flow.inbound) std::reverse(layers.begin(), layers.end());
    for (const CompiledLayer* layer : layers) {
      Evaluated evaluated = evaluate(*layer, flow);
      groups.push_back(std::move(evaluated.json));
      access = evaluated.access;
      if (access == machine::Access::deny) break;  // what stops here is looked at no further
    }
  }
  return {
      {"profile", profile},
      {"networkSecurityGroupResult", JsonObject{{"securityRuleAccessResult", machine::access_text(access)},
                                                {"evaluatedNetworkSecurityGroups", std::move(groups)}}}};
}

}  // namespace

void add_diagnostic_route(const Platform& platform, Service& service) {
  using schema::optional;
  using schema::required;
  using schema::text;
  const auto profile = schema::object({required("direction", schema::text_of({"Inbound", "Outbound"})),
                                       required("protocol", text()), required("source", text()),
                                       required("destination", text()), required("destinationPort", text())});
  Route route = watcher_action(
      "networkConfigurationDiagnostic",
      "Which rules of which security groups decide about flows of a machine",
      schema::object({required("targetResourceId", text()), optional("verbosityLevel", text()),
                      required("profiles", schema::array_of(profile).with_range(1, kProfilesMax))}));
  route.read = [&platform, &service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    TRY(require_watcher(platform, call, reader));
    const ResourceId vm = TRY(readable_machine(platform, call, reader));
    const auto interfaces = TRY(service.compile(reader, vm));
    JsonArray results;
    for (const Json& element : *array_at(call.body, "profiles")) {
      const JsonObject& asked = element.as_object();
      results.push_back(result_of(interfaces, asked, TRY(flow_of(asked))));
    }
    return resource::json_response(200, {{"results", std::move(results)}});
  };
  platform.resources.add(std::move(route));
}

}  // namespace merlon::network
