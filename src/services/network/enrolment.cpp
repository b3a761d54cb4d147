// What enrolment makes on the network side: the on-link virtual network, an empty security group, and one
// interface for each that the machine reported; and what its removal takes away.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "resource/permitted.h"
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

// The shortest prefixes that are taken for a link's. What a machine says of itself stands for its neighbours
// in rules, and may not stand for half of the world: of a shorter one its own address alone counts.
constexpr unsigned kLinkPrefixMin4 = 8, kLinkPrefixMin6 = 32;

IpPrefix link_of(const IpAddress& address, unsigned length) {
  const auto prefix = length < (address.is_v4() ? kLinkPrefixMin4 : kLinkPrefixMin6)
                          ? std::optional<IpPrefix>()
                          : IpPrefix::make(address, length);
  return prefix.value_or(IpPrefix(address));
}

// IPv4 first: Azure's primary IP configuration is always one.
std::vector<std::pair<IpAddress, IpPrefix>> usable_addresses(const ReportedInterface& interface) {
  std::vector<std::pair<IpAddress, IpPrefix>> usable;
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
    for (const auto& [address, length] : interface.addresses)
      if (address.family() == family && is_usable(address))
        usable.emplace_back(address, link_of(address, length));
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

// The kernel takes names that are none of Azure's: "a/b" would name another thing altogether.
std::string nic_name(const std::string& machine, const std::string& interface) {
  std::string name = machine + "-";
  for (const char c : interface) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '-';
    name += fits ? c : '-';
  }
  return name;
}

std::string cidr(const IpPrefix& prefix) {
  return fmt::format("{}/{}", prefix.address().text(), prefix.length());
}

JsonObject network_of_link(const std::string& location, const IpPrefix& on_link) {
  const JsonArray prefixes = {cidr(on_link)};
  return {{"location", location},
          {"properties",
           JsonObject{{"addressSpace", JsonObject{{"addressPrefixes", prefixes}}},
                      {"subnets",
                       JsonArray{JsonObject{{"name", "default"},
                                            {"properties", JsonObject{{"addressPrefixes", prefixes},
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

// Of an interface that is at no machine any more.
void let_go(JsonObject& properties) {
  properties.erase("virtualMachine");
  properties.erase("primary");
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
    const std::string name = is_first ? machine.name + "-nic" : nic_name(machine.name, interface.name);
    ResourceId nic = TRY(ResourceId::parse(provider + "networkInterfaces/" + name));
    if (const auto known = TRY(described_as(context.tx, described, interface, is_first))) {
      nic = *known;
      std::erase(described, nic);
    }
    const Addresses found = TRY(enrol_interface(context, vm, nic, nsg, interface, provider));
    TRY(compute_.attach_interface(context, vm, nic, is_first));
    TRY(note_links(context, vm, nic, found));
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
  // A subnet may hold ten thousand, and each machine that enrols is compared with all: only a row in which
  // the address is written is read.
  const std::string written = '"' + address.text() + '"';
  for (const store::Row& row :
       TRY(reader.find(NicLink::table(), platform_.core.tenant, "subnet", ascii_lower(subnet)))) {
    if (row.body.find(written) == std::string::npos) continue;
    const NicLink link = TRY(store::decode<NicLink>(row));
    if (link.nic != nic.key() &&
        std::find(link.addresses.begin(), link.addresses.end(), address) != link.addresses.end())
      return fail(ErrorKind::conflict, "PrivateIPAddressInUse",
                  "The address " + address.text() + " already belongs to " + link.nic_text +
                      ". Remove that machine first, or enrol this one into another resource group.");
  }
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

// The network of a link; answers its subnet. It is what its name says and no more, and one that is there is
// taken as it is: a network's space is what VirtualNetwork means at every machine in it, which no machine may
// say for the others.
Result<std::string> Service::enrol_network(WriteContext& context, const std::string& provider,
                                           const IpPrefix& on_link) {
  const ResourceId network = TRY(ResourceId::parse(provider + "virtualNetworks/" + network_name(on_link)));
  const auto known = TRY(platform_.resources.get(context.tx, network));
  if (!known) {
    TRY(platform_.resources.store_document(context, network,
                                           network_of_link(context.core.default_location, on_link)));
    return network.text() + "/subnets/default";
  }
  const JsonArray* subnets = array_at(known->body, "properties.subnets");
  if (subnets == nullptr || subnets->empty())
    return fail(ErrorKind::conflict, "SubnetNotFound",
                "The virtual network " + known->id.text() + " stands for the link " + cidr(on_link) +
                    ", on which this machine is, and has no subnet. Give it one, or delete it; then enrol "
                    "again.",
                known->id.text());
  const auto covers = std::find_if(subnets->begin(), subnets->end(), [&](const Json& element) {
    const auto prefixes = subnet_prefixes(element.as_object());
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const IpPrefix& each) { return each.contains(on_link); });
  });
  const JsonObject& subnet = (covers == subnets->end() ? subnets->front() : *covers).as_object();
  return known->id.text() + "/subnets/" + string_at(subnet, "name").value_or("default");
}

// The machine's further links, such as that of its IPv6 address: neighbours there are in the virtual network
// of this machine, and of none that has not said so itself.
Result<void> Service::note_links(WriteContext& context, const ResourceId& vm, const ResourceId& nic,
                                 const Addresses& addresses) {
  auto link = TRY(store::get<NicLink>(context.tx, platform_.core.tenant, nic.key()));
  if (addresses.empty() || !link || link->subnet.empty()) return {};
  const ResourceId subnet = TRY(ResourceId::parse(link->subnet));
  const auto network = TRY(platform_.resources.get(context.tx, subnet.parent()));
  const JsonObject* document = network ? find_subnet(network->body, subnet.name()) : nullptr;
  const auto covered = document == nullptr ? std::vector<IpPrefix>() : subnet_prefixes(*document);
  for (const auto& [address, on_link] : addresses)
    if (std::none_of(covered.begin(), covered.end(),
                     [&, p = on_link](const IpPrefix& each) { return each.contains(p); }))
      link->on_link.push_back(on_link);
  if (link->on_link.empty()) return {};
  link->on_link = merged(std::move(link->on_link));
  TRY(store::put(context.tx, platform_.core.tenant, *link));
  return layout_changed(context, vm.key());
}

// Answers the addresses of an interface that was not described before; of others nothing.
Result<Service::Addresses> Service::enrol_interface(WriteContext& context, const ResourceId& vm,
                                                    const ResourceId& nic, const ResourceId& nsg,
                                                    const ReportedInterface& interface,
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
  const bool is_described = !configurations.empty();
  const auto missing = TRY(settle_described(context.tx, nic, configurations, interface));
  if (!missing.empty()) {
    const std::string subnet = TRY(enrol_network(context, provider, missing.front().second));
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
  return is_described ? Addresses() : missing;
}

// Which interfaces an enrolled machine has, and which is the first, is what guards its addresses: who changes
// that must be allowed to change each that it had, as who takes a security group off one must.
Result<void> Service::require_interfaces(WriteContext& context, const ResourceId& vm,
                                         const std::vector<ResourceId>& wanted) {
  if (context.is_system || !TRY(platform_.machines.by_resource(context.tx, vm.text()))) return {};
  const auto links = TRY(store::find<NicLink>(context.tx, platform_.core.tenant, "vm", vm.key()));
  bool is_same = links.size() == wanted.size();
  for (const NicLink& link : links) {
    const auto nic = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(link.nic))));
    const bool was_first = nic && bool_at(nic->body, "properties.primary").value_or(false);
    const auto at = std::find_if(wanted.begin(), wanted.end(),
                                 [&](const ResourceId& each) { return each.key() == link.nic; });
    is_same = is_same && at != wanted.end() && was_first == (at == wanted.begin());
  }
  if (is_same) return {};
  for (const NicLink& link : links)
    TRY(context.require("Microsoft.Network/networkInterfaces/write", link.nic_text));
  if (wanted.empty() && !links.empty())
    return fail(ErrorKind::conflict, "VirtualMachineMustHaveAtLeastOneNetworkInterface",
                "Virtual machine " + vm.text() +
                    " must have at least one network interface: its agent enforces what guards them.",
                vm.text());
  // Of two that have an address the first would guard it, and the rules of the other count for nothing.
  std::set<IpAddress> seen;
  for (const ResourceId& nic : wanted)
    if (const auto link = TRY(store::get<NicLink>(context.tx, platform_.core.tenant, nic.key())))
      for (const IpAddress& address : link->addresses)
        if (!seen.insert(address).second)
          return fail(ErrorKind::invalid, "PrivateIPAddressInUse",
                      "Two network interfaces of virtual machine " + vm.text() + " have the address " +
                          address.text() + ". Attach one of them.",
                      link->nic_text);
  return {};
}

Result<void> Service::machine_changed(WriteContext& context, const ResourceId& vm) {
  const TenantId& tenant = platform_.core.tenant;
  const auto named = TRY(compute_.interfaces_of(context.tx, vm));
  TRY(require_interfaces(context, vm, named));
  std::map<std::string, bool> wanted;  // with whether it is the primary one
  for (const ResourceId& nic : named) wanted.emplace(nic.key(), wanted.empty());
  std::set<std::string> concerned;
  for (const auto& [key, primary] : wanted) concerned.insert(key);
  for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "vm", vm.key())))
    concerned.insert(link.nic);  // no longer named: it is let go
  for (const std::string& key : concerned) {
    const auto nic = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(key))));
    if (!nic) continue;
    JsonObject document = nic->body;
    JsonObject& properties = object_in(document, "properties");
    if (const auto at = wanted.find(key); at != wanted.end()) {
      const std::string other = string_at(nic->body, "properties.virtualMachine.id").value_or("");
      if (!other.empty() && ascii_lower(other) != vm.key())
        return fail(ErrorKind::invalid, "NicInUse",
                    "Network interface " + nic->id.text() + " is used by " + other + ".", nic->id.text());
      if (other.empty()) properties["virtualMachine"] = JsonObject{{"id", vm.text()}};
      properties["primary"] = at->second;
    } else {
      let_go(properties);
    }
    // Already as it should be: nothing moves.
    if (document != nic->body) TRY(platform_.resources.store_document(context, nic->id, std::move(document)));
  }
  return layout_changed(context, vm.key());
}

// Whether an interface is deleted with its machine: when the caller may delete it, and the machine's document
// does not say that it stays (Azure's deleteOption).
Result<bool> Service::goes_with(WriteContext& context, const NicLink& link,
                                const std::optional<resource::Resource>& vm) {
  if (context.is_system) return true;
  if (const JsonArray* listed =
          vm ? array_at(vm->body, "properties.networkProfile.networkInterfaces") : nullptr)
    for (const Json& element : *listed)
      if (ascii_iequal(string_at(element.as_object(), "id").value_or(""), link.nic) &&
          string_at(element.as_object(), "properties.deleteOption") == "Detach")
        return false;
  return resource::permitted(context.core, context.tx, context.call.principal,
                             "Microsoft.Network/networkInterfaces/delete", link.nic_text);
}

Result<void> Service::machine_removed(WriteContext& context, const ResourceId& vm) {
  const TenantId& tenant = platform_.core.tenant;
  const auto machine = TRY(platform_.resources.get(context.tx, vm));
  std::set<std::string> groups;
  std::set<std::string> others;
  for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "vm", vm.key()))) {
    if (!TRY(goes_with(context, link, machine))) {
      auto nic = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(link.nic_text))));
      if (!nic) continue;
      let_go(object_in(nic->body, "properties"));
      TRY(platform_.resources.store_document(context, nic->id, std::move(nic->body)));
      continue;
    }
    TRY(context.require_unlocked(link.nic, resource::Change::remove));
    groups.insert(link.group);
    TRY(store::erase<NicLink>(context.tx, tenant, link.nic));
    others.merge(TRY(leave_groups(context.tx, link.nic)));
    TRY(platform_.resources.erase(context.tx, TRY(ResourceId::parse(link.nic_text))));
  }
  // Without its interfaces the machine has no address to open a port on: who holds overlays lets them go.
  for (const auto& hook : layout_changed_) TRY(hook(context, vm));
  others.erase(vm.key());
  TRY(recompile_all(context, others));
  for (const std::string& group : groups) TRY(refresh_references(context, group));
  return {};
}

}  // namespace merlon::network
