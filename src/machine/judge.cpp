// The model's verdict on one new flow. This is the meaning that agent/firewall compiles to nftables; a
// property test compares the two, and `nsg explain` shows this one.
#include <algorithm>

#include "machine/desired_state.h"

namespace merlon::machine {
namespace {

bool holds(const std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

bool holds(const std::vector<PortRange>& ranges, uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const PortRange& range) { return range.first <= port && port <= range.last; });
}

bool covers_all_ports(const std::vector<PortRange>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [](const PortRange& range) { return range.first == 0 && range.last == 65535; });
}

bool has_ports(Protocol protocol) { return protocol == Protocol::tcp || protocol == Protocol::udp; }

bool matches(const FilterRule& rule, const Flow& flow) {
  if (rule.protocol != Protocol::any && rule.protocol != flow.protocol) return false;
  if (!holds(rule.sources, flow.source) || !holds(rule.destinations, flow.destination)) return false;
  // A rule that names ports says nothing about protocols that have none.
  if (!has_ports(flow.protocol))
    return covers_all_ports(rule.source_ports) && covers_all_ports(rule.destination_ports);
  return holds(rule.source_ports, flow.source_port) && holds(rule.destination_ports, flow.destination_port);
}

bool passes(const Opening& opening, const Flow& flow, Timestamp now) {
  return flow.inbound && now < opening.deadline && has_ports(flow.protocol) &&
         (opening.protocol == Protocol::any || opening.protocol == flow.protocol) &&
         opening.destination == flow.destination && opening.port == flow.destination_port &&
         opening.source.contains(flow.source);
}

const InterfacePolicy* policy_of(const DesiredState& state, const IpAddress& local) {
  const InterfacePolicy* primary = nullptr;
  for (const InterfacePolicy& policy : state.interfaces) {
    if (std::find(policy.addresses.begin(), policy.addresses.end(), local) != policy.addresses.end())
      return &policy;
    if (policy.primary && primary == nullptr) primary = &policy;
  }
  return primary;
}

}  // namespace

Verdict judge(const DesiredState& state, const Flow& flow, Timestamp now) {
  if (flow.source.is_loopback() || flow.destination.is_loopback())
    return {Access::allow, "", "platform: loopback"};
  for (const Opening& opening : state.openings)
    if (passes(opening, flow, now)) return {Access::allow, "", opening.id};
  const InterfacePolicy* policy = policy_of(state, flow.inbound ? flow.destination : flow.source);
  if (policy == nullptr) return {Access::allow, "", "no network interface"};
  Verdict verdict{Access::allow, "", "no security group"};
  for (const FilterLayer& layer : flow.inbound ? policy->inbound_layers : policy->outbound_layers) {
    const auto& rules = flow.inbound ? layer.inbound : layer.outbound;
    const auto rule =
        std::find_if(rules.begin(), rules.end(), [&](const FilterRule& r) { return matches(r, flow); });
    if (rule == rules.end()) return {Access::deny, layer.name, "no rule matches"};
    verdict = {rule->access, layer.name, rule->name};
    if (rule->access == Access::deny) return verdict;
  }
  return verdict;
}

}  // namespace merlon::machine
