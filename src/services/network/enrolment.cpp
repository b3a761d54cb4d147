// What enrolment makes on the network side: the on-link virtual network, an empty security group, and one
// interface for each that the machine reported; and what its removal takes away.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using machine::ReportedInterface;
using resource::ResourceId;
using resource::WriteContext;

bool is_usable(const IpAddress& address) {
  return !address.is_loopback() && !address.is_link_local() && !address.is_multicast() &&
         !address.is_unspecified();
}

// IPv4 first: Azure's primary IP configuration is always one.
std::vector<std::pair<IpAddress, IpPrefix>> usable_addresses(const ReportedInterface& interface) {
  std::vector<std::pair<IpAddress, IpPrefix>> usable;
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
    for (const auto& [address, length] : interface.addresses)
      if (address.family() == family && is_usable(address))
        if (const auto prefix = IpPrefix::make(address, length)) usable.emplace_back(address, *prefix);
  return usable;
}

// The interface of the default route is the primary one.
std::vector<ReportedInterface> primary_first(const std::vector<ReportedInterface>& interfaces) {
  std::vector<ReportedInterface> ordered;
  for (const bool wanted : {true, false})
    for (const ReportedInterface& interface : interfaces)
      if (interface.default_route == wanted) ordered.push_back(interface);
  return ordered;
}

// "10.0.0.0/24" → "onlink-10.0.0.0-24", "fd00::/64" → "onlink-fd00---64": a name that Azure's rule for
// networks accepts.
std::string network_name(const IpPrefix& prefix) {
  std::string name = fmt::format("onlink-{}-{}", prefix.address().text(), prefix.length());
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

void add_text(JsonArray& array, const std::string& text) {
  if (std::none_of(array.begin(), array.end(),
                   [&](const Json& element) { return element.as_string() == text; }))
    array.emplace_back(text);
}

std::string cidr(const IpPrefix& prefix) {
  return fmt::format("{}/{}", prefix.address().text(), prefix.length());
}

JsonObject empty_network(const std::string& location) {
  return {{"location", location},
          {"properties",
           JsonObject{{"addressSpace", JsonObject{{"addressPrefixes", JsonArray()}}},
                      {"subnets",
                       JsonArray{JsonObject{{"name", "default"},
                                            {"properties", JsonObject{{"addressPrefixes", JsonArray()},
                                                                      {"provisioningState", "Succeeded"}}}}}},
                      {"provisioningState", "Succeeded"}}}};
}

JsonObject ip_configuration(const ResourceId& nic, size_t number, const IpAddress& address,
                            const std::string& subnet) {
  const std::string name = number == 0 ? "ipconfig1" : fmt::format("ipconfig{}", number + 1);
  return {{"name", name},
          {"id", nic.text() + "/ipConfigurations/" + name},
          {"type", "Microsoft.Network/networkInterfaces/ipConfigurations"},
          {"properties", JsonObject{{"privateIPAddress", address.text()},
                                    {"privateIPAllocationMethod", "Static"},
                                    {"privateIPAddressVersion", address.is_v4() ? "IPv4" : "IPv6"},
                                    {"subnet", JsonObject{{"id", subnet}}},
                                    {"primary", number == 0},
                                    {"provisioningState", "Succeeded"}}}};
}

}  // namespace

Result<void> Service::enrol(WriteContext& context, const machine::Machine& machine,
                            const std::string& group_id) {
  const std::string provider = group_id + "/providers/Microsoft.Network/";
  const std::string& location = context.core.default_location;
  const ResourceId vm = TRY(ResourceId::parse(machine.resource_id));
  const ResourceId nsg = TRY(ResourceId::parse(provider + "networkSecurityGroups/" + machine.name + "-nsg"));
  if (!TRY(store::get<SecurityGroup>(context.tx, platform_.core.tenant, nsg.key()))) {
    SecurityGroup group;
    group.id = nsg.key();
    TRY(store::put(context.tx, platform_.core.tenant, group));
    JsonObject document = {{"location", location}, {"properties", JsonObject()}};
    TRY(platform_.resources.store_document(context, nsg,
                                           TRY(shown_document(context.tx, nsg, group, std::move(document)))));
  }
  bool is_first = true;
  for (const ReportedInterface& interface : primary_first(machine.facts.interfaces)) {
    if (usable_addresses(interface).empty()) continue;
    const std::string name = is_first ? machine.name + "-nic" : machine.name + "-" + interface.name;
    const ResourceId nic = TRY(ResourceId::parse(provider + "networkInterfaces/" + name));
    TRY(enrol_interface(context, nic, nsg, interface, provider));
    TRY(compute_.attach_interface(context, vm, nic, is_first));
    is_first = false;
  }
  if (is_first)
    return fail(ErrorKind::invalid, "NoUsableAddress",
                "The machine reported no network interface with an address other than loopback and "
                "link-local. Configure its "
                "network first, then enrol.");
  return {};
}

Result<void> Service::enrol_interface(WriteContext& context, const ResourceId& nic, const ResourceId& nsg,
                                      const ReportedInterface& interface, const std::string& provider) {
  const auto usable = usable_addresses(interface);
  const ResourceId network =
      TRY(ResourceId::parse(provider + "virtualNetworks/" + network_name(usable.front().second)));
  const auto known = TRY(platform_.resources.get(context.tx, network));
  JsonObject document = known ? known->body : empty_network(context.core.default_location);
  JsonObject& properties = document["properties"].as_object();
  JsonArray& space = properties["addressSpace"].as_object()["addressPrefixes"].as_array();
  JsonObject& subnet = properties["subnets"].as_array().front().as_object();
  JsonArray& subnet_space = subnet["properties"].as_object()["addressPrefixes"].as_array();
  const std::string subnet_id = network.text() + "/subnets/" + std::string(subnet["name"].as_string());
  JsonArray configurations;
  for (const auto& [address, prefix] : usable) {
    add_text(space, cidr(prefix));
    add_text(subnet_space, cidr(prefix));
    for (const NicLink& link :
         TRY(store::find<NicLink>(context.tx, platform_.core.tenant, "subnet", ascii_lower(subnet_id))))
      if (link.nic != nic.key() &&
          std::find(link.addresses.begin(), link.addresses.end(), address) != link.addresses.end())
        return fail(ErrorKind::conflict, "PrivateIPAddressInUse",
                    "The address " + address.text() + " already belongs to " + link.nic_text +
                        ". Remove that machine first, or enrol this one into another resource group.");
    configurations.push_back(ip_configuration(nic, configurations.size(), address, subnet_id));
  }
  TRY(platform_.resources.store_document(context, network, std::move(document)));
  JsonObject nic_properties = {{"ipConfigurations", std::move(configurations)},
                               {"networkSecurityGroup", JsonObject{{"id", nsg.text()}}},
                               {"macAddress", interface.mac},
                               {"primary", interface.default_route},
                               {"resourceGuid", Uuid::generate(context.core.random).text()},
                               {"provisioningState", "Succeeded"}};
  TRY(platform_.resources.store_document(
      context, nic,
      {{"location", context.core.default_location}, {"properties", std::move(nic_properties)}}));
  return {};
}

Result<void> Service::machine_changed(WriteContext& context, const ResourceId& vm) {
  const TenantId& tenant = platform_.core.tenant;
  std::set<std::string> wanted;
  for (const ResourceId& nic : TRY(compute_.interfaces_of(context.tx, vm))) wanted.insert(nic.key());
  std::set<std::string> moved = wanted;
  for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "vm", vm.key()))) {
    // Already there: nothing moves. No longer named: it is let go.
    if (moved.erase(link.nic) == 0) moved.insert(link.nic);
  }
  for (const std::string& key : moved) {
    const auto nic = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(key))));
    if (!nic) continue;
    JsonObject document = nic->body;
    JsonObject& properties = document["properties"].as_object();
    if (wanted.contains(key)) {
      const std::string other = string_at(nic->body, "properties.virtualMachine.id").value_or("");
      if (!other.empty() && ascii_lower(other) != vm.key())
        return fail(ErrorKind::invalid, "NicInUse",
                    "Network interface " + nic->id.text() + " is used by " + other + ".", nic->id.text());
      properties["virtualMachine"] = JsonObject{{"id", vm.text()}};
    } else {
      properties.erase("virtualMachine");
    }
    TRY(platform_.resources.store_document(context, nic->id, std::move(document)));
  }
  return layout_changed(context, vm.key());
}

Result<void> Service::machine_removed(WriteContext& context, const ResourceId& vm) {
  const TenantId& tenant = platform_.core.tenant;
  std::set<std::string> groups;
  std::set<std::string> others;
  for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "vm", vm.key()))) {
    TRY(context.require_unlocked(link.nic, resource::Change::remove));
    groups.insert(link.group);
    TRY(store::erase<NicLink>(context.tx, tenant, link.nic));
    others.merge(TRY(leave_groups(context.tx, link.nic)));
    TRY(platform_.resources.erase(context.tx, TRY(ResourceId::parse(link.nic_text))));
  }
  // With its interfaces gone the machine has no address to open a port on: who holds overlays lets them go.
  for (const auto& hook : layout_changed_) TRY(hook(context, vm));
  others.erase(vm.key());
  TRY(recompile_all(context, others));
  for (const std::string& group : groups) TRY(refresh_references(context, group));
  return {};
}

}  // namespace merlon::network
