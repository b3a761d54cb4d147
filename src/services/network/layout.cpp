// Virtual networks and interfaces: who is where, and what follows when that changes.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "services/network/prefixes.h"
#include "services/network/service.h"
#include "services/network/shown_defaults.h"

namespace merlon::network {
namespace {

using resource::ResourceId;
using resource::WriteContext;

// Azure keeps the first four addresses of a subnet to itself, and so do most networks keep the first.
constexpr uint32_t kFirstHost = 4;
constexpr uint32_t kHostsTriedMax = 65'536;

JsonObject& properties_of(JsonObject& document) {
  Json& properties = document["properties"];
  if (!properties.is_object()) properties = JsonObject();
  return properties.get_object();
}

std::string lower_reference(const JsonObject& json, std::string_view path) {
  return ascii_lower(string_at(json, path).value_or(""));
}

using NamedPrefix = std::pair<IpPrefix, std::string>;

// Prefixes lie in each other or apart: where any two overlap, two that are neighbours in order do.
Result<void> check_apart(std::vector<NamedPrefix> taken) {
  std::ranges::sort(taken);
  for (size_t i = 1; i < taken.size(); ++i)
    if (taken[i - 1].first.contains(taken[i].first))
      return fail(ErrorKind::invalid, "NetcfgSubnetRangesOverlap",
                  fmt::format("Subnet '{}' overlaps with subnet '{}'.", taken[i].second, taken[i - 1].second),
                  fmt::format("properties.subnets[{}].properties.addressPrefix", taken[i].second));
  return {};
}

Result<void> check_space(const JsonObject& wanted) {
  std::vector<IpPrefix> given;
  if (const JsonArray* prefixes = array_at(wanted, "properties.addressSpace.addressPrefixes"))
    for (const Json& element : *prefixes)
      if (const auto prefix = IpPrefix::parse(element.as_string())) given.push_back(*prefix);
  const std::vector<IpPrefix> space = widest(std::move(given));
  const JsonArray* subnets = array_at(wanted, "properties.subnets");
  if (subnets == nullptr) return {};
  std::vector<NamedPrefix> taken;
  for (const Json& element : *subnets) {
    const JsonObject& subnet = element.as_object();
    const std::string name = string_at(subnet, "name").value_or("");
    const auto prefixes = subnet_prefixes(subnet);
    if (prefixes.empty())
      return fail(ErrorKind::invalid, "InvalidRequestContent",
                  fmt::format("Subnet '{}' needs an addressPrefix or addressPrefixes.", name),
                  fmt::format("properties.subnets[{}].properties.addressPrefix", name));
    for (const IpPrefix& prefix : prefixes) {
      if (!is_within(space, prefix))
        return fail(
            ErrorKind::invalid, "NetcfgInvalidSubnet",
            fmt::format("Subnet '{}' is not valid: {} lies outside the virtual network's address space.",
                        name, prefix.text()),
            fmt::format("properties.subnets[{}].properties.addressPrefix", name));
      taken.emplace_back(prefix, name);
    }
  }
  return check_apart(std::move(taken));
}

}  // namespace

Result<JsonObject> Service::put_network(WriteContext& context, const ResourceId& id,
                                        const resource::Resource* existing, JsonObject wanted) {
  TRY(check_space(wanted));
  for (const SubnetLink& link :
       TRY(store::find<SubnetLink>(context.tx, platform_.core.tenant, "network", id.key()))) {
    const ResourceId subnet = TRY(ResourceId::parse(link.subnet_text));
    if (find_subnet(wanted, subnet.name()) != nullptr) continue;
    const auto nics = TRY(store::find<NicLink>(context.tx, platform_.core.tenant, "subnet", link.subnet));
    if (!nics.empty())
      return fail(
          ErrorKind::invalid, "InUseSubnetCannotBeDeleted",
          "Subnet " + subnet.name() + " is in use by " + nics.front().nic_text + " and cannot be deleted.",
          link.subnet_text);
    TRY(check_unused(context.tx, subnet, "Subnet " + subnet.name()));
  }
  JsonObject& properties = properties_of(wanted);
  properties["provisioningState"] = "Succeeded";
  if (!properties.contains("subnets")) properties["subnets"] = JsonArray();
  for (Json& subnet : properties["subnets"].as_array())
    properties_of(subnet.as_object())["provisioningState"] = "Succeeded";
  TRY(settle_peerings(context, id, existing, properties));
  return wanted;
}

Result<void> Service::network_changed(WriteContext& context, const ResourceId& id) {
  const TenantId& tenant = platform_.core.tenant;
  const auto resource = TRY(platform_.resources.get(context.tx, id));
  MERLON_CHECK(resource.has_value());
  std::set<std::string> groups;
  std::set<std::string> route_tables;
  std::set<std::string> vms;
  const auto peers = TRY(update_peering_links(context.tx, id, &resource->body));
  for (const SubnetLink& link : TRY(store::find<SubnetLink>(context.tx, tenant, "network", id.key()))) {
    groups.insert(link.group);
    route_tables.insert(link.route_table);
    TRY(store::erase<SubnetLink>(context.tx, tenant, link.subnet));
  }
  if (const JsonArray* subnets = array_at(resource->body, "properties.subnets"))
    for (const Json& element : *subnets) {
      const JsonObject& subnet = element.as_object();
      SubnetLink link;
      link.subnet_text = resource->id.text() + "/subnets/" + string_at(subnet, "name").value_or("");
      link.subnet = ascii_lower(link.subnet_text);
      link.network = id.key();
      link.group = lower_reference(subnet, "properties.networkSecurityGroup.id");
      link.route_table = lower_reference(subnet, "properties.routeTable.id");
      groups.insert(link.group);
      route_tables.insert(link.route_table);
      TRY(store::put(context.tx, tenant, link));
      for (const NicLink& nic : TRY(store::find<NicLink>(context.tx, tenant, "subnet", link.subnet)))
        if (!nic.vm.empty()) vms.insert(nic.vm);
    }
  for (const std::string& group : groups) TRY(refresh_references(context, group));
  for (const std::string& table : route_tables) TRY(refresh_route_table(context, table));
  for (const std::string& vm : vms) TRY(layout_changed(context, vm));
  for (const std::string& peer : peers) TRY(refresh_peer(context, peer, id.key(), &resource->body));
  return {};
}

Result<void> Service::check_unused(store::Reader& reader, const ResourceId& used, std::string_view what) {
  for (const AskForUser& ask : other_users_)
    if (const auto user = TRY(ask(reader, used)))
      return fail(ErrorKind::invalid, "InUseSubnetCannotBeDeleted",
                  fmt::format("{} is in use by {} and cannot be deleted.", what, *user), used.text());
  return {};
}

Result<void> Service::remove_network(WriteContext& context, const resource::Resource& existing) {
  TRY(check_unused(context.tx, existing.id, "Virtual network " + existing.id.name()));
  const TenantId& tenant = platform_.core.tenant;
  std::set<std::string> groups;
  std::set<std::string> route_tables;
  for (const SubnetLink& link :
       TRY(store::find<SubnetLink>(context.tx, tenant, "network", existing.id.key()))) {
    const auto nics = TRY(store::find<NicLink>(context.tx, tenant, "subnet", link.subnet));
    if (!nics.empty())
      return fail(ErrorKind::invalid, "InUseSubnetCannotBeDeleted",
                  "The virtual network cannot be deleted: its subnet " + link.subnet_text + " is in use by " +
                      nics.front().nic_text + ".",
                  link.subnet_text);
    groups.insert(link.group);
    route_tables.insert(link.route_table);
    TRY(store::erase<SubnetLink>(context.tx, tenant, link.subnet));
  }
  for (const std::string& group : groups) TRY(refresh_references(context, group));
  for (const std::string& table : route_tables) TRY(refresh_route_table(context, table));
  TRY(remove_flow_logs_of(context, existing.id));
  for (const std::string& peer : TRY(update_peering_links(context.tx, existing.id, nullptr)))
    TRY(refresh_peer(context, peer, existing.id.key(), nullptr));
  return {};
}

namespace {

// What an IP configuration had before.
struct Kept {
  std::optional<IpAddress> address;
  std::string subnet;  // lower case
};

// One IP configuration's address: the one it had, the one it names, or the first free one of its subnet.
Result<IpAddress> choose_address(const JsonObject& configuration, const std::vector<IpPrefix>& prefixes,
                                 const std::set<IpAddress>& taken, const Kept& kept) {
  const std::string name = string_at(configuration, "name").value_or("");
  const std::string target = "properties.ipConfigurations[" + name + "].properties.privateIPAddress";
  const bool wants_v6 = string_at(configuration, "properties.privateIPAddressVersion").value_or("") == "IPv6";
  const IpFamily family = wants_v6 ? IpFamily::v6 : IpFamily::v4;
  auto address = kept.address;
  if (const auto text = string_at(configuration, "properties.privateIPAddress"))
    address = IpAddress::parse(*text);
  if (address) {
    if (address->family() != family)
      return fail(
          ErrorKind::invalid, "InvalidRequestContent",
          "The address " + address->text() + " is not of the version that privateIPAddressVersion says.",
          target);
    // A machine that enrolled may have addresses of further links there (enrolment.cpp): those stay.
    const bool was_there =
        address == kept.address && kept.subnet == lower_reference(configuration, "properties.subnet.id");
    if (!was_there && !prefixes.empty() &&
        std::none_of(prefixes.begin(), prefixes.end(),
                     [&](const IpPrefix& p) { return p.contains(*address); }))
      return fail(
          ErrorKind::invalid, "PrivateIPAddressNotInSubnet",
          "Private static IP address " + address->text() + " does not belong to the range of its subnet.",
          target);
    if (taken.contains(*address))
      return fail(ErrorKind::invalid, "PrivateIPAddressInUse",
                  "IP address " + address->text() + " is in use by another network interface of the subnet.",
                  target);
    return *address;
  }
  for (const IpPrefix& prefix : prefixes)
    for (uint32_t number = kFirstHost; prefix.family() == family && number < kHostsTriedMax; ++number) {
      const auto candidate = host_of(prefix, number);
      if (!candidate) break;
      if (!taken.contains(*candidate)) return *candidate;
    }
  return fail(ErrorKind::invalid, "SubnetIsFull",
              "The IP configuration '" + name + "' names no address and its subnet has none free.", target);
}

Kept kept_of(const resource::Resource* existing, std::string_view name) {
  if (existing == nullptr) return {};
  if (const JsonArray* configurations = array_at(existing->body, "properties.ipConfigurations"))
    for (const Json& element : *configurations)
      if (string_at(element.as_object(), "name") == name)
        return {IpAddress::parse(string_at(element.as_object(), "properties.privateIPAddress").value_or("")),
                lower_reference(element.as_object(), "properties.subnet.id")};
  return {};
}

}  // namespace

Result<JsonObject> Service::put_interface(WriteContext& context, const ResourceId& id,
                                          const resource::Resource* existing, JsonObject wanted) {
  const TenantId& tenant = platform_.core.tenant;
  JsonObject& properties = properties_of(wanted);
  Json& configurations = properties["ipConfigurations"];
  if (!configurations.is_array() || configurations.get_array().empty())
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                "A network interface needs at least one IP configuration.", "properties.ipConfigurations");
  bool is_first = true;
  std::set<IpAddress> own;
  for (Json& element : configurations.get_array()) {
    JsonObject& configuration = element.as_object();
    const std::string name = string_at(configuration, "name").value_or("");
    std::vector<IpPrefix> prefixes;
    std::set<IpAddress> taken = own;
    if (const auto subnet_text = string_at(configuration, "properties.subnet.id")) {
      const ResourceId subnet = TRY(ResourceId::parse(*subnet_text));
      const auto network = TRY(platform_.resources.get(context.tx, subnet.parent()));
      const JsonObject* document = network ? find_subnet(network->body, subnet.name()) : nullptr;
      if (document == nullptr)
        return fail(ErrorKind::invalid, "InvalidResourceReference",
                    "Resource " + *subnet_text + " referenced by resource " + id.text() + " was not found.",
                    "properties.ipConfigurations[" + name + "].properties.subnet.id");
      prefixes = subnet_prefixes(*document);
      for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "subnet", subnet.key())))
        if (link.nic != id.key()) taken.insert(link.addresses.begin(), link.addresses.end());
    }
    const IpAddress address = TRY(choose_address(configuration, prefixes, taken, kept_of(existing, name)));
    own.insert(address);
    JsonObject& own_properties = properties_of(configuration);
    own_properties["privateIPAddress"] = address.text();
    own_properties["provisioningState"] = "Succeeded";
    if (!own_properties.contains("primary")) own_properties["primary"] = is_first;
    configuration["id"] = id.text() + "/ipConfigurations/" + name;
    configuration["type"] = "Microsoft.Network/networkInterfaces/ipConfigurations";
    is_first = false;
  }
  TRY(check_joined(context.tx, id, wanted));
  show_interface_defaults(properties);
  properties["provisioningState"] = "Succeeded";
  if (existing != nullptr)
    for (const std::string_view key : {"macAddress", "primary", "virtualMachine", "resourceGuid"})
      if (const Json* kept = find(existing->body, std::string("properties.") + std::string(key)))
        properties[key] = *kept;
  return wanted;
}

Result<void> Service::interface_changed(WriteContext& context, const ResourceId& id) {
  const TenantId& tenant = platform_.core.tenant;
  const auto resource = TRY(platform_.resources.get(context.tx, id));
  MERLON_CHECK(resource.has_value());
  const auto old = TRY(store::get<NicLink>(context.tx, tenant, id.key()));
  NicLink link;
  link.nic = id.key();
  link.nic_text = resource->id.text();
  link.vm = lower_reference(resource->body, "properties.virtualMachine.id");
  link.group = lower_reference(resource->body, "properties.networkSecurityGroup.id");
  if (const JsonArray* configurations = array_at(resource->body, "properties.ipConfigurations"))
    for (const Json& element : *configurations) {
      const JsonObject& configuration = element.as_object();
      if (link.subnet.empty()) link.subnet = lower_reference(configuration, "properties.subnet.id");
      if (const auto address =
              IpAddress::parse(string_at(configuration, "properties.privateIPAddress").value_or("")))
        link.addresses.push_back(*address);
    }
  // Of the machine that said so and of the place where it said so: to another they mean nothing.
  if (old && old->vm == link.vm && old->subnet == link.subnet) link.on_link = old->on_link;
  TRY(store::put(context.tx, tenant, link));
  if (old && old->group != link.group) TRY(refresh_references(context, old->group));
  if (!old || old->group != link.group) TRY(refresh_references(context, link.group));
  auto others = TRY(update_memberships(context.tx, link, resource->body));
  others.erase(link.vm);
  TRY(recompile_all(context, others));
  if (!link.vm.empty()) TRY(layout_changed(context, link.vm));
  return {};
}

Result<void> Service::remove_interface(WriteContext& context, const resource::Resource& existing) {
  const auto link = TRY(store::get<NicLink>(context.tx, platform_.core.tenant, existing.id.key()));
  if (!link) return {};
  if (!link->vm.empty())
    return fail(ErrorKind::invalid, "NicInUse",
                "Network Interface " + existing.id.text() + " is used by existing resource " + link->vm +
                    ". Detach it from the machine first.",
                existing.id.text());
  TRY(store::erase<NicLink>(context.tx, platform_.core.tenant, link->nic));
  TRY(remove_flow_logs_of(context, existing.id));
  TRY(recompile_all(context, TRY(leave_groups(context.tx, link->nic))));
  return refresh_references(context, link->group);
}

Result<void> Service::layout_changed(WriteContext& context, const std::string& vm_key) {
  const ResourceId vm = TRY(ResourceId::parse(vm_key));
  TRY(recompile(context, vm));
  for (const auto& hook : layout_changed_) TRY(hook(context, vm));
  return {};
}

}  // namespace merlon::network
