// From documents to what a machine enforces: for each interface the subnet's layer and its own, names
// expanded.
#include <fmt/format.h>

#include <algorithm>

#include "services/network/compiled.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using machine::FilterLayer;
using machine::InterfacePolicy;
using resource::ResourceId;
using resource::WriteContext;

// Below what the agent reads (machine/desired_state.cpp): a state that it would refuse is refused here, where
// somebody is told.
constexpr size_t kPrefixesPerSideMax = 20'000;
constexpr size_t kPrefixesPerMachineMax = 120'000;

std::vector<CompiledRule> compile_rules(const Rendering& shown, const std::vector<SecurityRule>& rules,
                                        Direction direction, const Meanings& meanings) {
  std::vector<CompiledRule> compiled;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].direction != direction) continue;
    compiled.push_back({.rule = rules[i],
                        .filter = expand(rules[i], meanings),
                        .shown = shown.rules[i].as_object(),
                        .is_default = false,
                        .is_opening = shown.allows.contains(rules[i].name)});
  }
  std::sort(compiled.begin(), compiled.end(),
            [](const auto& a, const auto& b) { return a.rule.priority < b.rule.priority; });
  for (const SecurityRule& rule : default_rules(direction))
    compiled.push_back({.rule = rule,
                        .filter = expand(rule, meanings),
                        .shown = {},
                        .is_default = true,
                        .is_opening = false});
  return compiled;
}

FilterLayer filter_layer(const CompiledLayer& layer, Direction direction) {
  FilterLayer filter;
  filter.name = layer.group_id;
  const bool inbound = direction == Direction::inbound;
  for (const CompiledRule& rule : inbound ? layer.inbound : layer.outbound)
    if (!rule.is_opening) (inbound ? filter.inbound : filter.outbound).push_back(rule.filter);
  return filter;
}

Result<void> check_size(const std::vector<InterfacePolicy>& policies, const std::string& vm) {
  size_t all = 0;
  for (const InterfacePolicy& policy : policies)
    for (const auto* layers : {&policy.inbound_layers, &policy.outbound_layers})
      for (const FilterLayer& layer : *layers)
        for (const auto* rules : {&layer.inbound, &layer.outbound})
          for (const machine::FilterRule& rule : *rules) {
            all += rule.sources.size() + rule.destinations.size();
            if (std::max(rule.sources.size(), rule.destinations.size()) <= kPrefixesPerSideMax &&
                all <= kPrefixesPerMachineMax)
              continue;
            return fail(
                ErrorKind::invalid, "SecurityRulesTooLarge",
                fmt::format("With rule '{}' of {} the machine {} would have to hold more prefixes than "
                            "it can: at most {} in one rule and {} in all. Use a narrower service tag, "
                            "such as one of a region.",
                            rule.name, layer.name, vm, kPrefixesPerSideMax, kPrefixesPerMachineMax));
          }
  return {};
}

}  // namespace

Result<ReadGroup> read_group(const SecurityGroup& group) {
  ReadGroup read{TRY(render(group)), {}};
  read.rules = TRY(read_rules(read.shown.rules));
  return read;
}

CompiledLayer compile_layer(const ReadGroup& group, const Meanings& meanings) {
  CompiledLayer layer;
  layer.inbound = compile_rules(group.shown, group.rules, Direction::inbound, meanings);
  layer.outbound = compile_rules(group.shown, group.rules, Direction::outbound, meanings);
  return layer;
}

InterfacePolicy policy_of(const CompiledInterface& compiled) {
  InterfacePolicy policy;
  policy.nic_id = compiled.link.nic_text;
  policy.addresses = compiled.link.addresses;
  policy.primary = compiled.primary;
  for (const CompiledLayer& layer : compiled.layers) {
    policy.flush_connections |= layer.flush_connections;
    policy.inbound_layers.push_back(filter_layer(layer, Direction::inbound));
    // Outbound a packet meets the interface's own group first.
    policy.outbound_layers.insert(policy.outbound_layers.begin(), filter_layer(layer, Direction::outbound));
  }
  return policy;
}

Result<std::optional<CompiledLayer>> Service::layer(store::Reader& reader, const std::string& group_key,
                                                    Meanings& meanings, Openings openings) {
  if (group_key.empty()) return std::optional<CompiledLayer>();
  auto group = TRY(store::get<SecurityGroup>(reader, platform_.core.tenant, group_key));
  if (!group) return std::optional<CompiledLayer>();
  if (openings == Openings::left_out) group->drop_allows();
  const ReadGroup read = TRY(read_group(*group));
  TRY(learn(reader, read.rules, meanings));
  CompiledLayer layer = compile_layer(read, meanings);
  const auto document = TRY(platform_.resources.get(reader, TRY(ResourceId::parse(group_key))));
  layer.group_id = document ? document->id.text() : group_key;
  layer.flush_connections = document && bool_at(document->body, "properties.flushConnection").value_or(false);
  return std::optional<CompiledLayer>(std::move(layer));
}

Result<CompiledInterface> Service::compile_interface(store::Reader& reader, const NicLink& link, bool primary,
                                                     Openings openings) {
  CompiledInterface compiled;
  compiled.link = link;
  compiled.primary = primary;
  compiled.meanings.virtual_network = TRY(network_space(reader, link));
  if (!link.subnet.empty())
    if (const auto subnet = TRY(store::get<SubnetLink>(reader, platform_.core.tenant, link.subnet)))
      if (auto at_subnet = TRY(layer(reader, subnet->group, compiled.meanings, openings))) {
        at_subnet->subnet_id = subnet->subnet_text;
        compiled.layers.push_back(*std::move(at_subnet));
      }
  if (auto own = TRY(layer(reader, link.group, compiled.meanings, openings))) {
    own->nic_id = link.nic_text;
    compiled.layers.push_back(*std::move(own));
  }
  return compiled;
}

Result<std::vector<CompiledInterface>> Service::compile(store::Reader& reader, const ResourceId& vm,
                                                        Openings openings) {
  std::vector<CompiledInterface> interfaces;
  for (const ResourceId& nic : TRY(compute_.interfaces_of(reader, vm)))
    if (const auto link = TRY(store::get<NicLink>(reader, platform_.core.tenant, nic.key())))
      interfaces.push_back(TRY(compile_interface(reader, *link, interfaces.empty(), openings)));
  return interfaces;
}

Result<void> Service::recompile(WriteContext& context, const ResourceId& vm) {
  const auto machine = TRY(platform_.machines.by_resource(context.tx, vm.text()));
  if (!machine) return {};
  std::vector<InterfacePolicy> policies;
  const auto logs = TRY(flow_logs(context.tx));
  for (const CompiledInterface& compiled : TRY(compile(context.tx, vm, Openings::left_out))) {
    policies.push_back(policy_of(compiled));
    policies.back().flow_log = !TRY(logs_over(context.tx, logs, compiled.link)).empty();
  }
  TRY(check_size(policies, vm.name()));
  return platform_.machines.set_interfaces(context.tx, machine->id, std::move(policies));
}

Result<void> Service::recompile_all(WriteContext& context, const std::set<std::string>& vms) {
  for (const std::string& vm : vms) TRY(recompile(context, TRY(ResourceId::parse(vm))));
  return {};
}

Result<std::vector<VmInterface>> Service::interfaces_of(store::Reader& reader, const ResourceId& vm) {
  std::vector<VmInterface> interfaces;
  for (const ResourceId& nic : TRY(compute_.interfaces_of(reader, vm))) {
    const auto link = TRY(store::get<NicLink>(reader, platform_.core.tenant, nic.key()));
    if (!link) continue;
    VmInterface interface;
    interface.nic = TRY(ResourceId::parse(link->nic_text));
    interface.addresses = link->addresses;
    interface.primary = interfaces.empty();
    if (!link->subnet.empty())
      if (const auto subnet = TRY(store::get<SubnetLink>(reader, platform_.core.tenant, link->subnet));
          subnet && !subnet->group.empty())
        interface.groups.push_back(TRY(ResourceId::parse(subnet->group)));
    if (!link->group.empty()) interface.groups.push_back(TRY(ResourceId::parse(link->group)));
    interfaces.push_back(std::move(interface));
  }
  return interfaces;
}

}  // namespace merlon::network
