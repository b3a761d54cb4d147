// From policies and live grants to overlay rules and kernel openings.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using machine::Access;
using network::OverlayRule;
using network::VmInterface;
using resource::ResourceId;
using resource::WriteContext;

constexpr size_t kOpeningsMax = 4096;  // on one machine

// Azure's names carry a signed integer and 32 hex digits; ours come from what the rule is about, so that the
// same rule has the same name at every rendering.
std::string rule_name(Access access, const std::string& subject) {
  const auto digest = crypto::sha256(as_bytes(subject));
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i) number = (number << 8) | digest[i];
  std::string hex = to_hex(ByteView(digest).subspan(4, 16));
  for (char& c : hex)
    if (c >= 'a') c = static_cast<char>(c - 'a' + 'A');
  const char joint = access == Access::deny ? '_' : '-';
  return fmt::format("{}{}{}{}{}", "SecurityCenter-JITRule", joint, static_cast<int32_t>(number), joint, hex);
}

std::string grant_of(const OverlayRule& rule) { return rule.id.substr(0, rule.id.find('/')); }

bool has_family(const std::vector<std::string>& sources, IpFamily family, std::vector<std::string>& fitting) {
  fitting.clear();
  for (const std::string& source : sources) {
    const auto prefixes = read_source(source);
    if (!prefixes) continue;
    for (const IpPrefix& prefix : *prefixes)
      if (prefix.family() == family) {
        fitting.push_back(source);
        break;
      }
  }
  return !fitting.empty();
}

}  // namespace

std::string overlay_owner(const ResourceId& policy) { return "jit:" + policy.key(); }

Result<std::vector<VmInterface>> Service::interfaces_of(store::Reader& reader, const ResourceId& vm) {
  auto interfaces = network_.interfaces_of(reader, vm);
  // A machine that is gone has none; its policy may still name it.
  if (!interfaces && interfaces.error().kind == ErrorKind::not_found) return std::vector<VmInterface>();
  return interfaces;
}

Result<std::vector<IpAddress>> Service::addresses_of(store::Reader& reader, const ResourceId& vm) {
  std::vector<IpAddress> addresses;
  for (const VmInterface& interface : TRY(interfaces_of(reader, vm)))
    addresses.insert(addresses.end(), interface.addresses.begin(), interface.addresses.end());
  return addresses;
}

Result<void> Service::add_deny_rules(store::Reader& reader, const Policy& policy, GroupRules& rules) {
  for (const MachinePolicy& machine : policy.machines)
    for (const VmInterface& interface : TRY(interfaces_of(reader, machine.vm)))
      for (const ResourceId& group : interface.groups)
        for (const IpAddress& address : interface.addresses)
          for (const PortPolicy& port : machine.ports) {
            OverlayRule rule;
            rule.id = fmt::format("{}/{}/{}", machine.vm.key(), address.text(), port.number);
            rule.access = Access::deny;
            rule.name = rule_name(Access::deny, policy.id.key() + "\n" + rule.id);
            rule.description = fmt::format("ASC JIT Network Access rule for policy '{}' of VM '{}'.",
                                           policy.id.name(), machine.vm.name());
            rule.protocol = port.protocol;
            rule.sources = {"*"};
            rule.destination = address;
            rule.port = port.number;
            rules[group.key()].push_back(std::move(rule));
          }
  return {};
}

// What an opening shows in each group that guards its machine.
Result<void> Service::add_allow_rules(store::Reader& reader, const Grant& grant, Interfaces& known,
                                      GroupRules& rules) {
  const PortGrant port = TRY(PortGrant::from_json(grant.data));
  const ResourceId vm = TRY(ResourceId::parse(port.vm_id));
  const ResourceId policy = TRY(ResourceId::parse(port.policy_id));
  const auto [found, is_new] = known.try_emplace(vm.key());
  if (is_new) found->second = TRY(interfaces_of(reader, vm));
  for (const VmInterface& interface : found->second)
    for (const ResourceId& group : interface.groups)
      for (const IpAddress& address : interface.addresses) {
        OverlayRule rule;
        if (!has_family(port.sources, address.family(), rule.sources)) continue;
        rule.id = fmt::format("{}/{}", grant.id.text(), address.text());
        rule.access = Access::allow;
        rule.name = rule_name(Access::allow, rule.id);
        rule.description = fmt::format(
            "ASC JIT Network Access rule created by an initiation request for policy '{}' of VM '{}'.",
            policy.name(), vm.name());
        rule.protocol = port.protocol;
        rule.destination = address;
        rule.port = port.number;
        rules[group.key()].push_back(std::move(rule));
      }
  return {};
}

// Of these openings alone, and of those whose place they take: what others have stays as it is. Where
// sync_overlay() would put them: after the denials, in the order of their grants.
Result<void> Service::show_rules(WriteContext& context, const ResourceId& policy,
                                 const std::vector<Grant>& grants, const Replaced& replaced) {
  GroupRules added;
  for (const std::string& vm : replaced.vms)
    for (const VmInterface& interface : TRY(interfaces_of(context.tx, TRY(ResourceId::parse(vm)))))
      for (const ResourceId& group : interface.groups) added[group.key()];
  Interfaces known;
  for (const Grant& grant : grants) TRY(add_allow_rules(context.tx, grant, known, added));
  const auto place = [&](const OverlayRule& rule) {
    const bool allows = rule.access == Access::allow;
    return std::pair(allows, allows ? grant_of(rule) : std::string());
  };
  for (auto& [group, of_group] : added)
    TRY(network_.change_overlay(
        context, TRY(ResourceId::parse(group)), overlay_owner(policy), [&](std::vector<OverlayRule>& rules) {
          std::erase_if(rules, [&](const OverlayRule& rule) {
            return rule.access == Access::allow && replaced.grants.contains(grant_of(rule));
          });
          std::multimap<std::pair<bool, std::string>, OverlayRule> placed;
          for (std::vector<OverlayRule>* from : {&rules, &of_group})
            for (OverlayRule& rule : *from) placed.emplace(place(rule), std::move(rule));
          rules.clear();
          for (auto& [ignored, rule] : placed) rules.push_back(std::move(rule));
        }));
  return {};
}

Result<void> Service::hide_rules(WriteContext& context, const std::vector<Grant>& grants) {
  std::map<std::pair<std::string, std::string>, std::set<std::string>> hidden;  // machine, policy: grants
  for (const Grant& grant : grants) {
    const PortGrant port = TRY(PortGrant::from_json(grant.data));
    hidden[{port.vm_id, port.policy_id}].insert(grant.id.text());
  }
  for (const auto& [place, ids] : hidden) {
    const std::string owner = overlay_owner(TRY(ResourceId::parse(place.second)));
    std::set<std::string> groups;
    for (const VmInterface& interface : TRY(interfaces_of(context.tx, TRY(ResourceId::parse(place.first)))))
      for (const ResourceId& group : interface.groups) groups.insert(group.key());
    for (const std::string& group : groups)
      TRY(network_.change_overlay(
          context, TRY(ResourceId::parse(group)), owner, [&](std::vector<OverlayRule>& rules) {
            std::erase_if(rules, [&](const OverlayRule& rule) { return ids.contains(grant_of(rule)); });
          }));
  }
  return {};
}

Result<void> Service::sync_overlay(WriteContext& context, const ResourceId& policy_id) {
  const std::string owner = overlay_owner(policy_id);
  GroupRules rules;
  for (const ResourceId& group : TRY(network_.groups_with_overlay(context.tx, owner))) rules[group.key()];
  if (const auto policy = TRY(platform_.resources.get(context.tx, policy_id))) {
    TRY(add_deny_rules(context.tx, TRY(read_policy(policy->id, policy->body)), rules));
    Interfaces known;
    for (const Grant& grant :
         TRY(platform_.grants.active_of_group(context.tx, kOpeningKind, policy->id.key())))
      TRY(add_allow_rules(context.tx, grant, known, rules));
  }
  for (auto& [group, group_rules] : rules)
    TRY(network_.set_overlay(context, TRY(ResourceId::parse(group)), owner, std::move(group_rules)));
  return {};
}

Result<void> Service::sync_openings(WriteContext& context, const ResourceId& vm) {
  const auto machine = TRY(platform_.machines.by_resource(context.tx, vm.text()));
  if (!machine) return {};
  const auto addresses = TRY(addresses_of(context.tx, vm));
  std::vector<machine::Opening> openings;
  for (const Grant& grant : TRY(platform_.grants.active_of_subject(context.tx, kOpeningKind, vm.key()))) {
    const PortGrant port = TRY(PortGrant::from_json(grant.data));
    size_t position = 0;
    for (const std::string& source : port.sources)
      for (const IpPrefix& prefix : read_source(source).value_or(std::vector<IpPrefix>()))
        for (const IpAddress& address : addresses) {
          if (prefix.family() != address.family()) continue;
          openings.push_back({.id = fmt::format("{}/{}", grant.id.text(), position++),
                              .protocol = port.protocol,
                              .source = prefix,
                              .destination = address,
                              .port = port.number,
                              .deadline = grant.deadline,
                              .cut_established = port.cut_established,
                              .live_server = port.live_server});
        }
  }
  // What the machine would refuse as a whole (desired_state.cpp) must not reach it.
  if (openings.size() > kOpeningsMax)
    return fail(
        ErrorKind::conflict, "JitTooManyOpenings",
        fmt::format("'{}' would have {} openings, one for each source and address; it takes {}. Revoke "
                    "some, or ask for a prefix instead of single addresses.",
                    vm.name(), openings.size(), kOpeningsMax));
  return platform_.machines.set_openings(context.tx, machine->id, std::move(openings));
}

}  // namespace merlon::jit
