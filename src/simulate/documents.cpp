// The second reading, and the reading of the store.
#include "simulate/documents.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/time_text.h"
#include "services/jit/policy.h"
#include "services/jit/service.h"
#include "services/network/security_group.h"

namespace merlon::simulate {
namespace {

constexpr std::string_view kVirtualNetwork[] = {"10.1.0.0/24", "fd00:1::/64"};  // that the machines are on

bool is_from(const std::string& source, const IpAddress& address) {
  if (source == "*") return true;
  const auto prefix = IpPrefix::parse(source);
  return prefix && prefix->contains(address);
}

bool is_near(const IpAddress& address) {
  return std::any_of(std::begin(kVirtualNetwork), std::end(kVirtualNetwork),
                     [&](std::string_view text) { return IpPrefix::parse(text)->contains(address); });
}

bool applies(const BaseRule& rule, const Packet& packet) {
  if (rule.protocol == "Tcp" && packet.protocol != 6) return false;
  if (rule.protocol == "Udp" && packet.protocol != 17) return false;
  if (!is_from(rule.source, packet.source)) return false;
  return rule.port == "*" || rule.port == std::to_string(packet.destination_port);
}

BaseRule read_base_rule(const JsonObject& json) {
  BaseRule rule;
  rule.name = string_at(json, "name").value_or("");
  rule.priority = int_at(json, "properties.priority").value_or(0);
  rule.allow = string_at(json, "properties.access") == "Allow";
  rule.protocol = string_at(json, "properties.protocol").value_or("");
  rule.source = string_at(json, "properties.sourceAddressPrefix").value_or("?");
  rule.port = string_at(json, "properties.destinationPortRange").value_or("?");
  return rule;
}

Result<void> observe_machine(SimServer& server, store::Reader& reader, const std::string& group,
                             const std::string& name, Observed& seen) {
  const auto& tenant = server.assembly().core().tenant;
  auto machine = TRY(server.assembly().machines().by_resource(
      reader, group + "/providers/Microsoft.Compute/virtualMachines/" + name));
  if (machine && machine->removed) machine.reset();
  MachineDocuments documents;
  documents.enrolled = machine.has_value();
  documents.enforce = machine && machine->mode == machine::Mode::enforce;
  const auto nsg = TRY(resource::ResourceId::parse(
      group + "/providers/Microsoft.Network/networkSecurityGroups/" + name + "-nsg"));
  if (const auto record = TRY(store::get<network::SecurityGroup>(reader, tenant, nsg.key())))
    for (const Json& rule : record->base_rules) documents.rules.push_back(read_base_rule(rule.as_object()));
  std::sort(documents.rules.begin(), documents.rules.end());
  seen.documents.machines.push_back(std::move(documents));
  seen.machines.push_back(std::move(machine));
  return {};
}

Result<void> observe_policy(SimServer& server, store::Reader& reader, const std::string& group,
                            const std::vector<std::string>& names, Observed& seen) {
  const auto id = TRY(resource::ResourceId::parse(
      group + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default"));
  const auto resource = TRY(server.assembly().manager().get(reader, id));
  if (!resource) return {};
  auto& policy = seen.documents.policy.emplace();
  const jit::Policy read = TRY(jit::read_policy(id, resource->body));
  for (const jit::MachinePolicy& machine : read.machines)
    for (size_t i = 0; i < names.size(); ++i)
      if (machine.vm.name() == names[i])
        for (const jit::PortPolicy& port : machine.ports)
          policy[i].push_back({port.number, jit::source_text(port.allowed_sources), port.duration_max});
  return {};
}

Result<void> observe_grants(SimServer& server, store::Reader& reader, const std::vector<std::string>& names,
                            const std::string& operator_id, Observed& seen) {
  for (const grant::Grant& grant : TRY(server.assembly().grants().active(reader, jit::kOpeningKind))) {
    const jit::PortGrant port = TRY(jit::PortGrant::from_json(grant.data));
    const auto vm = TRY(resource::ResourceId::parse(port.vm_id));
    for (size_t i = 0; i < names.size(); ++i)
      if (vm.name() == names[i]) {
        const GrantKey key{i, port.number, port.sources.front(), grant.holder == operator_id};
        seen.documents.grants[key] = grant.deadline;
        seen.grant_ids[key] = grant.id.text();
      }
  }
  return {};
}

}  // namespace

const PolicyPort* Documents::port(size_t machine, uint16_t number) const {
  if (!policy || !policy->contains(machine)) return nullptr;
  for (const PolicyPort& port : policy->at(machine))
    if (port.number == number) return &port;
  return nullptr;
}

void Documents::expire(Timestamp server_time) {
  std::erase_if(grants, [&](const auto& grant) { return grant.second <= server_time; });
}

std::string Documents::text() const {
  std::string out;
  for (const MachineDocuments& machine : machines) {
    out +=
        fmt::format("[{} {}", machine.enrolled ? "enrolled" : "gone", machine.enforce ? "enforce" : "audit");
    for (const BaseRule& rule : machine.rules)
      out += fmt::format(" {}@{} {} {} {} {}", rule.name, rule.priority, rule.allow ? "allow" : "deny",
                         rule.protocol, rule.source, rule.port);
    out += "]";
  }
  out += policy ? " policy" : " no policy";
  if (policy)
    for (const auto& [machine, ports] : *policy)
      for (const PolicyPort& port : ports)
        out += fmt::format(" {}:{} from {} for {}", machine, port.number, port.source,
                           to_human_duration(port.longest));
  for (const auto& [key, deadline] : grants)
    out += fmt::format(" open {}:{} to {} until {}", key.machine, key.port, key.source, to_rfc3339(deadline));
  return out + (operator_has_role ? " operator in office" : " operator without a role");
}

bool lets_in(const Documents& documents, size_t machine, const Packet& packet) {
  std::vector<BaseRule> rules = documents.machines[machine].rules;
  std::sort(rules.begin(), rules.end(),
            [](const BaseRule& a, const BaseRule& b) { return a.priority < b.priority; });
  for (const BaseRule& rule : rules)
    if (applies(rule, packet)) return rule.allow;
  if (packet.protocol == 6 && documents.port(machine, packet.destination_port) != nullptr) return false;
  return is_near(packet.source);  // AllowVnetInBound, then DenyAllInBound
}

bool covers(const GrantKey& grant, const Packet& packet, const std::vector<IpAddress>& addresses) {
  return packet.inbound && packet.protocol == 6 && packet.destination_port == grant.port &&
         is_from(grant.source, packet.source) &&
         std::find(addresses.begin(), addresses.end(), packet.destination) != addresses.end();
}

Result<Observed> observe(SimServer& server, const std::vector<std::string>& names, const std::string& group,
                         const std::string& operator_id) {
  return store::read_value<Observed>(
      server.assembly().store(), [&](store::Reader& reader) -> Result<Observed> {
        Observed seen;
        for (const std::string& name : names) TRY(observe_machine(server, reader, group, name, seen));
        TRY(observe_policy(server, reader, group, names, seen));
        TRY(observe_grants(server, reader, names, operator_id, seen));
        for (const auto& assignment :
             TRY(server.assembly().core().access.assignments(reader, group, access::Access::Reach::at_scope)))
          seen.documents.operator_has_role |= assignment.principal_id.text() == operator_id;
        return seen;
      });
}

}  // namespace merlon::simulate
