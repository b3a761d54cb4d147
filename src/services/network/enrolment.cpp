// What enrolment makes on the network side: the on-link virtual network, an empty security group, and one
// interface for each that the machine reported; and what its removal takes away.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "services/network/prefixes.h"
#include "services/network/service.h"
#include "services/network/shown_defaults.h"

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

JsonObject& object_in(JsonObject& parent, std::string_view key) {
  Json& member = parent[key];
  if (!member.is_object()) member = JsonObject();
  return member.get_object();
}

JsonArray& array_in(JsonObject& parent, std::string_view key) {
  Json& member = parent[key];
  if (!member.is_array()) member = JsonArray();
  return member.get_array();
}

JsonObject ip_configuration(const ResourceId& nic, const std::string& name, const IpAddress& address,
                            const std::string& subnet, bool primary) {
  return {{"name", name},
          {"id", nic.text() + "/ipConfigurations/" + name},
          {"type", "Microsoft.Network/networkInterfaces/ipConfigurations"},
          {"properties", JsonObject{{"privateIPAddress", address.text()},
                                    {"privateIPAllocationMethod", "Static"},
                                    {"privateIPAddressVersion", address.is_v4() ? "IPv4" : "IPv6"},
                                    {"subnet", JsonObject{{"id", subnet}}},
                                    {"primary", primary},
                                    {"provisioningState", "Succeeded"}}}};
}

// "ipconfig1", or the next that the interface does not have.
std::string free_name(const JsonArray& configurations) {
  for (size_t number = configurations.size() + 1;; ++number) {
    const std::string name = fmt::format("ipconfig{}", number);
    if (std::none_of(configurations.begin(), configurations.end(), [&](const Json& element) {
          return ascii_iequal(string_at(element.as_object(), "name").value_or(""), name);
        }))
      return name;
  }
}

}  // namespace

Result<void> Service::enrol(WriteContext& context, const machine::Machine& machine,
                            const std::string& group_id) {
  const std::string provider = group_id + "/providers/Microsoft.Network/";
  const ResourceId vm = TRY(ResourceId::parse(machine.resource_id));
  const ResourceId nsg = TRY(ResourceId::parse(provider + "networkSecurityGroups/" + machine.name + "-nsg"));
  std::vector<ResourceId> described = TRY(compute_.interfaces_of(context.tx, vm));
  bool is_first = true;
  for (const ReportedInterface& interface : primary_first(machine.facts.interfaces)) {
    if (usable_addresses(interface).empty()) continue;
    const std::string name = is_first ? machine.name + "-nic" : machine.name + "-" + interface.name;
    ResourceId nic = TRY(ResourceId::parse(provider + "networkInterfaces/" + name));
    if (const auto known = TRY(described_as(context.tx, described, interface, is_first))) {
      nic = *known;
      std::erase(described, nic);
    }
    TRY(enrol_interface(context, vm, nic, nsg, interface, provider));
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

// Which of the interfaces that a person gave the machine is this one: that with its hardware address or one
// of its addresses; or the only one there is, when it is the primary.
Result<std::optional<ResourceId>> Service::described_as(store::Reader& reader,
                                                        const std::vector<ResourceId>& described,
                                                        const ReportedInterface& interface, bool is_first) {
  for (const ResourceId& id : described) {
    const auto nic = TRY(platform_.resources.get(reader, id));
    const auto link = TRY(store::get<NicLink>(reader, platform_.core.tenant, id.key()));
    if (!nic || !link) continue;
    const std::string mac = string_at(nic->body, "properties.macAddress").value_or("");
    if (!mac.empty() && ascii_iequal(mac, interface.mac)) return std::optional(nic->id);
    for (const auto& [address, prefix] : usable_addresses(interface))
      if (std::find(link->addresses.begin(), link->addresses.end(), address) != link->addresses.end())
        return std::optional(nic->id);
  }
  if (is_first && described.size() == 1)
    if (const auto nic = TRY(platform_.resources.get(reader, described.front())))
      return std::optional(nic->id);
  return std::optional<ResourceId>();
}

Result<void> Service::enrol_group(WriteContext& context, const ResourceId& nsg) {
  if (TRY(store::get<SecurityGroup>(context.tx, platform_.core.tenant, nsg.key()))) return {};
  SecurityGroup group;
  group.id = nsg.key();
  TRY(store::put(context.tx, platform_.core.tenant, group));
  JsonObject document = {{"location", context.core.default_location}, {"properties", JsonObject()}};
  TRY(platform_.resources.store_document(
      context, nsg, TRY(shown_document(context.tx, nsg, TRY(render(group)).rules, std::move(document)))));
  return {};
}

Result<void> Service::check_address_free(store::Reader& reader, const ResourceId& nic,
                                         const std::string& subnet, const IpAddress& address) {
  for (const NicLink& link :
       TRY(store::find<NicLink>(reader, platform_.core.tenant, "subnet", ascii_lower(subnet))))
    if (link.nic != nic.key() &&
        std::find(link.addresses.begin(), link.addresses.end(), address) != link.addresses.end())
      return fail(ErrorKind::conflict, "PrivateIPAddressInUse",
                  "The address " + address.text() + " already belongs to " + link.nic_text +
                      ". Remove that machine first, or enrol this one into another resource group.");
  return {};
}

// What a person has written of an interface stays, as do addresses that they called static. An address that
// was only given out becomes the machine's own, where the configuration's subnet has room for it: it stood
// for what was not known yet. Answers which of the machine's addresses are not there so far.
Result<Service::Addresses> Service::settle_described(store::Reader& reader, const ResourceId& nic,
                                                     JsonArray& configurations,
                                                     const ReportedInterface& interface) {
  auto left = usable_addresses(interface);
  const auto take = [&](const IpAddress& address) {
    return std::erase_if(left, [&](const auto& each) { return each.first == address; }) > 0;
  };
  std::vector<JsonObject*> given_out;
  for (Json& element : configurations) {
    JsonObject& configuration = element.as_object();
    const auto address =
        IpAddress::parse(string_at(configuration, "properties.privateIPAddress").value_or(""));
    if (address && take(*address)) continue;
    if (string_at(configuration, "properties.privateIPAllocationMethod") == "Dynamic")
      given_out.push_back(&configuration);
  }
  for (JsonObject* configuration : given_out) {
    const auto subnet = ResourceId::parse(string_at(*configuration, "properties.subnet.id").value_or(""));
    const auto network = subnet ? TRY(platform_.resources.get(reader, subnet->parent())) : std::nullopt;
    const JsonObject* document = network ? find_subnet(network->body, subnet->name()) : nullptr;
    if (document == nullptr) continue;
    const auto prefixes = subnet_prefixes(*document);
    const bool wants_v6 = string_at(*configuration, "properties.privateIPAddressVersion") == "IPv6";
    const auto fits = std::find_if(left.begin(), left.end(), [&](const auto& each) {
      return each.first.is_v4() != wants_v6 &&
             std::any_of(prefixes.begin(), prefixes.end(),
                         [&](const IpPrefix& prefix) { return prefix.contains(each.first); });
    });
    if (fits == left.end()) continue;
    TRY(check_address_free(reader, nic, subnet->text(), fits->first));
    object_in(*configuration, "properties")["privateIPAddress"] = fits->first.text();
    left.erase(fits);
  }
  return left;
}

// The network of what the machine shares a link with; answers its subnet.
Result<std::string> Service::enrol_network(WriteContext& context, const std::string& provider,
                                           const Addresses& addresses) {
  const ResourceId network =
      TRY(ResourceId::parse(provider + "virtualNetworks/" + network_name(addresses.front().second)));
  const auto known = TRY(platform_.resources.get(context.tx, network));
  JsonObject document = known ? known->body : empty_network(context.core.default_location);
  JsonObject& properties = object_in(document, "properties");
  JsonArray& subnets = array_in(properties, "subnets");
  if (subnets.empty()) subnets.push_back(JsonObject{{"name", "default"}});
  JsonObject& subnet = subnets.front().as_object();
  const std::string subnet_id = network.text() + "/subnets/" + string_at(subnet, "name").value_or("default");
  const auto covered = subnet_prefixes(subnet);
  for (const auto& [address, prefix] : addresses) {
    if (std::any_of(covered.begin(), covered.end(),
                    [&, p = prefix](const IpPrefix& each) { return each.contains(p); }))
      continue;
    add_text(array_in(object_in(properties, "addressSpace"), "addressPrefixes"), cidr(prefix));
    add_text(array_in(object_in(subnet, "properties"), "addressPrefixes"), cidr(prefix));
  }
  TRY(platform_.resources.store_document(context, network, std::move(document)));
  return subnet_id;
}

Result<void> Service::enrol_interface(WriteContext& context, const ResourceId& vm, const ResourceId& nic,
                                      const ResourceId& nsg, const ReportedInterface& interface,
                                      const std::string& provider) {
  const auto known = TRY(platform_.resources.get(context.tx, nic));
  JsonObject document = known ? known->body : JsonObject{{"location", context.core.default_location}};
  const std::string other = string_at(document, "properties.virtualMachine.id").value_or("");
  if (!other.empty() && ascii_lower(other) != vm.key())
    return fail(ErrorKind::conflict, "NicInUse",
                "Network interface " + nic.text() + " is used by " + other +
                    ". Detach it there, or enrol this machine under another name.",
                nic.text());
  JsonObject& properties = object_in(document, "properties");
  JsonArray& configurations = array_in(properties, "ipConfigurations");
  const auto missing = TRY(settle_described(context.tx, nic, configurations, interface));
  if (!missing.empty()) {
    const std::string subnet = TRY(enrol_network(context, provider, missing));
    for (const auto& [address, prefix] : missing) {
      TRY(check_address_free(context.tx, nic, subnet, address));
      const bool is_only = configurations.empty();
      configurations.push_back(ip_configuration(nic, free_name(configurations), address, subnet, is_only));
    }
  }
  if (!properties.contains("networkSecurityGroup")) {
    TRY(enrol_group(context, nsg));
    properties["networkSecurityGroup"] = JsonObject{{"id", nsg.text()}};
  }
  properties["macAddress"] = interface.mac;
  properties["primary"] = interface.default_route;
  if (!properties.contains("resourceGuid"))
    properties["resourceGuid"] = Uuid::generate(context.core.random).text();
  properties["provisioningState"] = "Succeeded";
  show_interface_defaults(properties);
  TRY(platform_.resources.store_document(context, nic, std::move(document)));
  return {};
}

Result<void> Service::machine_changed(WriteContext& context, const ResourceId& vm) {
  const TenantId& tenant = platform_.core.tenant;
  std::map<std::string, bool> wanted;  // with whether it is the primary one
  for (const ResourceId& nic : TRY(compute_.interfaces_of(context.tx, vm)))
    wanted.emplace(nic.key(), wanted.empty());
  std::set<std::string> concerned;
  for (const auto& [key, primary] : wanted) concerned.insert(key);
  for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "vm", vm.key())))
    concerned.insert(link.nic);  // no longer named: it is let go
  for (const std::string& key : concerned) {
    const auto nic = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(key))));
    if (!nic) continue;
    JsonObject document = nic->body;
    JsonObject& properties = document["properties"].as_object();
    if (const auto at = wanted.find(key); at != wanted.end()) {
      const std::string other = string_at(nic->body, "properties.virtualMachine.id").value_or("");
      if (!other.empty() && ascii_lower(other) != vm.key())
        return fail(ErrorKind::invalid, "NicInUse",
                    "Network interface " + nic->id.text() + " is used by " + other + ".", nic->id.text());
      if (other.empty()) properties["virtualMachine"] = JsonObject{{"id", vm.text()}};
      properties["primary"] = at->second;
    } else {
      properties.erase("virtualMachine");
      properties.erase("primary");
    }
    // Already as it should be: nothing moves.
    if (document != nic->body) TRY(platform_.resources.store_document(context, nic->id, std::move(document)));
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
