// From documents to what a machine enforces: for each interface the subnet's layer and its own, tags
// expanded.
#include <algorithm>

#include "services/network/prefixes.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using machine::FilterLayer;
using machine::InterfacePolicy;
using resource::ResourceId;
using resource::WriteContext;

std::vector<machine::FilterRule> expand_all(const std::vector<SecurityRule>& rules, Direction direction,
                                            const TagPrefixes& tags) {
  std::vector<machine::FilterRule> filter;
  for (const SecurityRule& rule : rules)
    if (rule.direction == direction) filter.push_back(expand(rule, tags));
  std::sort(filter.begin(), filter.end(),
            [](const auto& a, const auto& b) { return a.priority < b.priority; });
  for (const SecurityRule& rule : default_rules(direction)) filter.push_back(expand(rule, tags));
  return filter;
}

}  // namespace

Result<std::vector<IpPrefix>> Service::network_space(store::Reader& reader, const std::string& subnet) {
  std::vector<IpPrefix> space;
  if (subnet.empty()) return space;
  const auto link = TRY(store::get<SubnetLink>(reader, platform_.core.tenant, subnet));
  if (!link) return space;
  const auto network = TRY(platform_.resources.get(reader, TRY(ResourceId::parse(link->network))));
  if (!network) return space;
  if (const JsonArray* prefixes = array_at(network->body, "properties.addressSpace.addressPrefixes"))
    for (const Json& element : *prefixes)
      if (element.is_string())
        if (const auto prefix = IpPrefix::parse(element.get_string())) space.push_back(*prefix);
  return space;
}

Result<std::optional<FilterLayer>> Service::layer(store::Reader& reader, const std::string& group_key,
                                                  const TagPrefixes& tags) {
  if (group_key.empty()) return std::optional<FilterLayer>();
  const auto group = TRY(store::get<SecurityGroup>(reader, platform_.core.tenant, group_key));
  if (!group) return std::optional<FilterLayer>();
  // What is shown is what is enforced, except the just-in-time allow rules: an opening has an end in the
  // kernel, a rule has none.
  const Rendering shown = TRY(render(*group));
  JsonArray lasting;
  for (const Json& rule : shown.rules)
    if (!shown.view.allows.contains(string_at(rule.as_object(), "name").value_or("")))
      lasting.push_back(rule);
  const auto rules = TRY(read_rules(lasting));
  FilterLayer layer;
  const auto document = TRY(platform_.resources.get(reader, TRY(ResourceId::parse(group_key))));
  layer.name = document ? document->id.text() : group_key;  // as its creator spelled it: people read this
  layer.inbound = expand_all(rules, Direction::inbound, tags);
  layer.outbound = expand_all(rules, Direction::outbound, tags);
  return std::optional<FilterLayer>(std::move(layer));
}

Result<std::vector<InterfacePolicy>> Service::compile(store::Reader& reader, const ResourceId& vm) {
  std::vector<InterfacePolicy> policies;
  for (const ResourceId& nic : TRY(compute_.interfaces_of(reader, vm))) {
    const auto link = TRY(store::get<NicLink>(reader, platform_.core.tenant, nic.key()));
    if (!link) continue;
    InterfacePolicy policy;
    policy.nic_id = link->nic_text;
    policy.addresses = link->addresses;
    policy.primary = policies.empty();
    const TagPrefixes tags{TRY(network_space(reader, link->subnet))};
    std::string subnet_group;
    if (!link->subnet.empty())
      if (const auto subnet = TRY(store::get<SubnetLink>(reader, platform_.core.tenant, link->subnet)))
        subnet_group = subnet->group;
    for (const std::string& group : {subnet_group, link->group})
      if (auto layer_of_group = TRY(layer(reader, group, tags)))
        policy.inbound_layers.push_back(*layer_of_group);
    policy.outbound_layers.assign(policy.inbound_layers.rbegin(), policy.inbound_layers.rend());
    policies.push_back(std::move(policy));
  }
  return policies;
}

Result<void> Service::recompile(WriteContext& context, const ResourceId& vm) {
  const auto machine = TRY(platform_.machines.by_resource(context.tx, vm.text()));
  if (!machine) return {};
  return platform_.machines.set_interfaces(context.tx, machine->id, TRY(compile(context.tx, vm)));
}

Result<void> Service::recompile_group(WriteContext& context, const std::string& group_key) {
  for (const std::string& vm : TRY(machines_of_group(context.tx, group_key)))
    TRY(recompile(context, TRY(ResourceId::parse(vm))));
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

Result<Explanation> Service::explain(store::Reader& reader, const ResourceId& vm, machine::Flow flow) {
  const auto machine = TRY(platform_.machines.by_resource(reader, vm.text()));
  if (!machine)
    return fail(
        ErrorKind::not_found, "ResourceNotFound",
        "No agent is enrolled for the virtual machine '" + vm.name() + "', so nothing is enforced there.");
  const IpAddress remote = flow.inbound ? flow.source : flow.destination;
  IpAddress& local = flow.inbound ? flow.destination : flow.source;
  Explanation explanation;
  for (const InterfacePolicy& policy : machine->desired.interfaces)
    for (const IpAddress& address : policy.addresses) {
      const bool wanted = local.is_unspecified() ? address.family() == remote.family() : address == local;
      if (!wanted || !explanation.nic_id.empty()) continue;
      local = address;
      explanation.nic_id = policy.nic_id;
    }
  if (explanation.nic_id.empty())
    return fail(
        ErrorKind::invalid, "NoSuchAddress",
        "The machine '" + vm.name() + "' has no address of the same family as " + remote.text() + ".");
  explanation.flow = flow;
  explanation.verdict = machine::judge(machine->desired, flow, platform_.grants.now());
  explanation.enforced = machine->applied.mode == machine::Mode::enforce;
  explanation.blockers = machine->applied.blockers;
  return explanation;
}

}  // namespace merlon::network
