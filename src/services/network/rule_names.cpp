// What rules refer to by name: service tags and application security groups. They are looked up when a rule
// is written, remembered, and looked up again whenever what they stand for changes.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using resource::ResourceId;

std::string field_of(const SecurityRule& rule) { return "securityRules[" + rule.name + "].properties"; }

// A name as the rule's writer spelled it.
std::string as_written(const SecurityRule& rule, const std::string& tag) {
  for (const auto* values : {&rule.sources, &rule.destinations})
    for (const std::string& value : *values)
      if (ascii_iequal(value, tag)) return value;
  return tag;
}

std::unexpected<Error> unknown_tag(const SecurityRule& rule, const std::string& tag) {
  return fail(ErrorKind::invalid, "SecurityRuleInvalidAddressPrefix",
              fmt::format("Security rule '{}' has invalid Address prefix. Value provided: {}. It is neither "
                          "an address nor a service tag that this server knows. Load the file that has it "
                          "with 'merlon network service-tags import FILE', or name the addresses.",
                          rule.name, as_written(rule, tag)),
              field_of(rule));
}

std::unexpected<Error> several_networks(const std::string& rule, const std::set<std::string>& networks) {
  return fail(ErrorKind::invalid, "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet",
              fmt::format("Security rule '{}' has application security groups with members in several "
                          "virtual networks ({}). All application security groups of a rule must be from "
                          "the same virtual network.",
                          rule, join({networks.begin(), networks.end()}, ", ")),
              "securityRules[" + rule + "].properties");
}

}  // namespace

Result<std::set<std::string>> Service::networks_of(store::Reader& reader, const std::set<std::string>& groups,
                                                   const std::string& except_nic) {
  std::set<std::string> networks;
  for (const std::string& group : groups)
    for (const Membership& member : TRY(store::find<Membership>(reader, platform_.core.tenant, "asg", group)))
      if (member.nic != except_nic) networks.insert(member.network);
  return networks;
}

Result<void> Service::check_names(store::Reader& reader, const ResourceId& group,
                                  const std::vector<SecurityRule>& rules) {
  const TenantId& tenant = platform_.core.tenant;
  for (const SecurityRule& rule : rules) {
    for (const std::string& name : service_tags_of(rule)) {
      const auto tag = TRY(store::get<ServiceTag>(reader, tenant, name));
      if (!tag) return unknown_tag(rule, name);
      const RuleReference reference{RuleReference::tag_target(name), group.key()};
      if (tag->retired && !TRY(store::get<RuleReference>(reader, tenant, reference.key())))
        return fail(
            ErrorKind::invalid, "SecurityRuleInvalidAddressPrefix",
            fmt::format("Security rule '{}': the service tag '{}' is no longer in the set '{}'. Rules "
                        "that had it keep its last addresses; a new one cannot use it.",
                        rule.name, tag->name, tag->set),
            field_of(rule));
    }
    const auto groups = application_groups_of(rule);
    for (const std::string& id : groups)
      if (const auto named = ResourceId::parse(id);
          !named || !ascii_iequal(named->type(), kApplicationGroupType))
        return fail(
            ErrorKind::invalid, "InvalidResourceReference",
            fmt::format("Security rule '{}': {} is not an application security group.", rule.name, id),
            field_of(rule));
    const auto networks = TRY(networks_of(reader, groups, ""));
    if (networks.size() > 1) return several_networks(rule.name, networks);
  }
  return {};
}

// An interface that joins brings its network into every rule that names the group.
Result<void> Service::check_rules_of(store::Reader& reader, const std::string& application_group,
                                     const std::string& nic, const std::string& network) {
  const TenantId& tenant = platform_.core.tenant;
  for (const RuleReference& reference :
       TRY(store::find<RuleReference>(reader, tenant, "target", application_group))) {
    const auto group = TRY(store::get<SecurityGroup>(reader, tenant, reference.group));
    if (!group) continue;
    for (const SecurityRule& rule : TRY(read_rules(group->base_rules))) {
      const auto named = application_groups_of(rule);
      if (!named.contains(application_group)) continue;
      auto networks = TRY(networks_of(reader, named, nic));
      networks.insert(network);
      if (networks.size() > 1) return several_networks(rule.name, networks);
    }
  }
  return {};
}

Result<void> Service::note_names(store::Transaction& tx, const std::string& group_key,
                                 const std::vector<SecurityRule>& rules) {
  const TenantId& tenant = platform_.core.tenant;
  std::set<std::string> wanted;
  for (const SecurityRule& rule : rules) {
    wanted.merge(application_groups_of(rule));
    for (const std::string& tag : service_tags_of(rule)) wanted.insert(RuleReference::tag_target(tag));
  }
  for (const RuleReference& reference : TRY(store::find<RuleReference>(tx, tenant, "nsg", group_key))) {
    if (wanted.erase(reference.target) != 0) continue;
    TRY(store::erase<RuleReference>(tx, tenant, reference.key()));
    TRY(forget_retired(tx, reference.target));
  }
  for (const std::string& target : wanted) TRY(store::put(tx, tenant, RuleReference{target, group_key}));
  return {};
}

// The last rule that kept a retired tag has let go of it.
Result<void> Service::forget_retired(store::Transaction& tx, const std::string& target) {
  const TenantId& tenant = platform_.core.tenant;
  const std::string prefix = RuleReference::tag_target("");
  if (!target.starts_with(prefix)) return {};
  if (!TRY(store::find<RuleReference>(tx, tenant, "target", target)).empty()) return {};
  const auto tag = TRY(store::get<ServiceTag>(tx, tenant, target.substr(prefix.size())));
  if (tag && tag->retired) TRY(store::erase<ServiceTag>(tx, tenant, tag->key()));
  return {};
}

Result<std::set<std::string>> Service::machines_naming(store::Reader& reader, const std::string& target) {
  std::set<std::string> vms;
  for (const RuleReference& reference :
       TRY(store::find<RuleReference>(reader, platform_.core.tenant, "target", target)))
    vms.merge(TRY(machines_of_group(reader, reference.group)));
  return vms;
}

Result<void> Service::learn(store::Reader& reader, const std::vector<SecurityRule>& rules,
                            Meanings& meanings) {
  const TenantId& tenant = platform_.core.tenant;
  for (const SecurityRule& rule : rules) {
    for (const std::string& name : service_tags_of(rule)) {
      if (meanings.service_tags.contains(name)) continue;
      if (auto tag = TRY(store::get<ServiceTag>(reader, tenant, name)))
        meanings.service_tags.emplace(name, std::move(tag->prefixes));
    }
    for (const std::string& group : application_groups_of(rule)) {
      const auto [members, is_new] = meanings.groups.try_emplace(group);
      if (!is_new) continue;
      for (const Membership& member : TRY(store::find<Membership>(reader, tenant, "asg", group)))
        for (const IpAddress& address : member.addresses) members->second.emplace_back(address);
    }
  }
  return {};
}

}  // namespace merlon::network
