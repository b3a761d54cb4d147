// Application security groups: which interfaces are in them, and what follows when that changes. Source of
// the rules: Azure docs, application-security-groups.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using resource::ResourceId;
using resource::WriteContext;

constexpr size_t kGroupsPerConfigurationMax = 20;

std::set<std::string> groups_of(const JsonObject& configuration) {
  std::set<std::string> groups;
  if (const JsonArray* named = array_at(configuration, "properties.applicationSecurityGroups"))
    for (const Json& element : *named)
      if (element.is_object()) groups.insert(ascii_lower(string_at(element.get_object(), "id").value_or("")));
  return groups;
}

std::string network_of(const std::string& subnet) {
  const auto id = ResourceId::parse(subnet);
  return id ? id->parent().key() : std::string();
}

std::string list_of(const std::set<std::string>& ids) {
  return ids.empty() ? "none" : join({ids.begin(), ids.end()}, ", ");
}

Result<void> check_one_set(const std::string& name, const std::set<std::string>& groups,
                           const std::string& first_name, const std::set<std::string>& first) {
  const std::string target = "properties.ipConfigurations[" + name + "].properties.applicationSecurityGroups";
  if (groups.size() > kGroupsPerConfigurationMax)
    return fail(ErrorKind::invalid, "ApplicationSecurityGroupsPerIpConfigurationLimitReached",
                fmt::format("The IP configuration '{}' is in {} application security groups; at most {} are "
                            "accepted.",
                            name, groups.size(), kGroupsPerConfigurationMax),
                target);
  for (const std::string& group : groups)
    if (const auto id = ResourceId::parse(group); !id || !ascii_iequal(id->type(), kApplicationGroupType))
      return fail(
          ErrorKind::invalid, "InvalidResourceReference",
          fmt::format("The IP configuration '{}' names {}, which is not an application security group.", name,
                      group),
          target);
  if (groups == first) return {};
  return fail(ErrorKind::invalid, "AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups",
              fmt::format("All IPConfigurations on a Network Interface should reference the same set of "
                          "Application Security Groups. IPConfiguration '{}' references {}, whereas "
                          "IPConfiguration '{}' references {}.",
                          first_name, list_of(first), name, list_of(groups)),
              target);
}

}  // namespace

Result<JsonObject> Service::put_application_group(WriteContext& context, const resource::Resource* existing,
                                                  JsonObject wanted) {
  Json& properties = wanted["properties"];
  if (!properties.is_object()) properties = JsonObject();
  const auto kept = existing == nullptr ? std::nullopt : string_at(existing->body, "properties.resourceGuid");
  properties.get_object()["resourceGuid"] = kept.value_or(Uuid::generate(context.core.random).text());
  properties.get_object()["provisioningState"] = "Succeeded";
  return wanted;
}

Result<void> Service::remove_application_group(WriteContext& context, const resource::Resource& existing) {
  const TenantId& tenant = platform_.core.tenant;
  const auto in_use = [&](const std::string& by) {
    return fail(ErrorKind::invalid, "InUseApplicationSecurityGroupCannotBeDeleted",
                "Application Security Group " + existing.id.name() +
                    " cannot be deleted because it is referenced by " + by + ". Remove the reference first.",
                existing.id.text());
  };
  const auto members = TRY(store::find<Membership>(context.tx, tenant, "asg", existing.id.key()));
  if (!members.empty()) return in_use(members.front().nic_text);
  const auto rules = TRY(store::find<RuleReference>(context.tx, tenant, "target", existing.id.key()));
  if (!rules.empty()) return in_use("rules of " + rules.front().group);
  return {};
}

Result<void> Service::check_joined(store::Reader& reader, const ResourceId& nic, const JsonObject& wanted) {
  const JsonArray* configurations = array_at(wanted, "properties.ipConfigurations");
  if (configurations == nullptr || configurations->empty()) return {};
  const JsonObject& first = configurations->front().as_object();
  const std::string first_name = string_at(first, "name").value_or("");
  const auto groups = groups_of(first);
  for (const Json& element : *configurations) {
    const JsonObject& configuration = element.as_object();
    TRY(check_one_set(string_at(configuration, "name").value_or(""), groups_of(configuration), first_name,
                      groups));
  }
  const std::string network = network_of(string_at(first, "properties.subnet.id").value_or(""));
  for (const std::string& group : groups) {
    auto networks = TRY(networks_of(reader, {group}, nic.key()));
    networks.insert(network);
    if (networks.size() > 1 || network.empty())
      return fail(
          ErrorKind::invalid, "AllNetworkInterfacesInApplicationSecurityGroupMustBeFromSameVnet",
          fmt::format("The network interface '{}' cannot join {}: all interfaces of an application "
                      "security group must be in one virtual network, and {}.",
                      nic.name(), group,
                      network.empty() ? "this one is in none" : "they would be in " + list_of(networks)),
          "properties.ipConfigurations");
    TRY(check_rules_of(reader, group, nic.key(), network));
  }
  return {};
}

Result<std::set<std::string>> Service::update_memberships(store::Transaction& tx, const NicLink& link,
                                                          const JsonObject& nic) {
  const TenantId& tenant = platform_.core.tenant;
  std::map<std::string, Membership> wanted;
  if (const JsonArray* configurations = array_at(nic, "properties.ipConfigurations"))
    for (const Json& element : *configurations)
      for (const std::string& group : groups_of(element.as_object())) {
        Membership& member = wanted[group];
        member.group = group;
        member.nic = link.nic;
        member.nic_text = link.nic_text;
        member.network = network_of(link.subnet);
        if (const auto address =
                IpAddress::parse(string_at(element.as_object(), "properties.privateIPAddress").value_or("")))
          member.addresses.push_back(*address);
      }
  std::set<std::string> vms;
  for (const Membership& before : TRY(store::find<Membership>(tx, tenant, "nic", link.nic))) {
    const auto after = wanted.find(before.group);
    if (after != wanted.end() && after->second == before) {
      wanted.erase(after);
      continue;
    }
    if (after == wanted.end()) TRY(store::erase<Membership>(tx, tenant, before.key()));
    vms.merge(TRY(machines_naming(tx, before.group)));
  }
  for (const auto& [group, member] : wanted) {
    TRY(store::put(tx, tenant, member));
    vms.merge(TRY(machines_naming(tx, group)));
  }
  return vms;
}

Result<std::set<std::string>> Service::leave_groups(store::Transaction& tx, const std::string& nic) {
  NicLink gone;
  gone.nic = nic;
  return update_memberships(tx, gone, {});
}

}  // namespace merlon::network
