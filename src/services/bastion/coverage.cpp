// Which machine is meant, which bastion covers it, and at which address it is reached: a bastion serves its
// own virtual network and, but for the Developer SKU, those peered with it.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "machine/reach.h"
#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

using identity::Principal;
using resource::Resource;
using resource::ResourceId;

constexpr std::string_view kMachineType = "Microsoft.Compute/virtualMachines";
constexpr std::string_view kInterfaceType = "Microsoft.Network/networkInterfaces";
constexpr size_t kNamesShown = 5;

bool is_id(std::string_view text) { return text.starts_with('/'); }

std::vector<Place> places_of(const Resource& nic) {
  std::vector<Place> places;
  const JsonArray* configurations = array_at(nic.body, "properties.ipConfigurations");
  if (configurations == nullptr) return places;
  for (const Json& element : *configurations) {
    const JsonObject& configuration = element.as_object();
    const auto address =
        IpAddress::parse(string_at(configuration, "properties.privateIPAddress").value_or(""));
    const auto subnet = ResourceId::parse(string_at(configuration, "properties.subnet.id").value_or(""));
    if (address && subnet) places.push_back({nic.id, *address, subnet->parent().key()});
  }
  return places;
}

std::string names_of(const std::vector<Host>& hosts) {
  std::vector<std::string> names;
  for (const Host& host : hosts)
    if (names.size() < kNamesShown) names.push_back(host.id.resource_group() + "/" + host.id.name());
  return join(names, ", ");
}

std::unexpected<Error> no_machine(std::string_view name) {
  return fail(ErrorKind::not_found, "MachineNotFound",
              fmt::format("There is no machine '{}' that you may reach. 'merlon machine list' shows those "
                          "that you may see.",
                          name.substr(0, 300)));
}

bool is_inside(const Resource& network, const IpAddress& address) {
  const JsonArray* prefixes = array_at(network.body, "properties.addressSpace.addressPrefixes");
  return prefixes != nullptr && std::ranges::any_of(*prefixes, [&](const Json& element) {
           const auto prefix = element.is_string() ? IpPrefix::parse(element.get_string()) : std::nullopt;
           return prefix && prefix->contains(address);
         });
}

}  // namespace

Result<bool> Service::may_read(store::Reader& reader, const Principal& caller, std::string_view action,
                               std::string_view scope) {
  const access::Question question{.action = std::string(action), .scope = std::string(scope)};
  return TRY(platform_.core.access.check(reader, caller, question)).allowed;
}

Result<Target> Service::machine_target(store::Reader& reader, const ResourceId& vm) {
  const auto document = TRY(platform_.resources.get(reader, vm));
  if (!document) return no_machine(vm.text());
  Target target;
  target.id = document->id;
  target.system = string_at(document->body, "properties.storageProfile.osDisk.osType").value_or("");
  for (const ResourceId& nic : TRY(compute_.interfaces_of(reader, document->id)))
    if (const auto found = TRY(platform_.resources.get(reader, nic)))
      for (Place& place : places_of(*found)) target.places.push_back(std::move(place));
  return target;
}

// IP connect. An address of a known machine stands for that machine, with all that guards it; any other must
// lie in a network that the bastion reaches: the server is nobody's hand inside its own network.
Result<Target> Service::address_target(store::Reader& reader, const Host& host, const ResourceId& id) {
  const auto address = IpAddress::parse(id.name());
  if (!address || address->is_loopback() || address->is_link_local() || address->is_multicast() ||
      address->is_unspecified())
    return fail(ErrorKind::invalid, "InvalidTarget",
                "'" + id.name() + "' is not the IP address of a machine.");
  const auto networks = TRY(networks_reached(reader, host));
  for (const Resource& nic :
       TRY(platform_.resources.list(reader, kInterfaceType, "/subscriptions/" + id.subscription())))
    for (const Place& place : places_of(nic)) {
      if (place.address != *address || !networks.contains(place.network)) continue;
      const auto vm = ResourceId::parse(string_at(nic.body, "properties.virtualMachine.id").value_or(""));
      if (!vm) continue;
      Target target = TRY(machine_target(reader, *vm));
      target.places = {place};
      return target;
    }
  for (const std::string& key : networks) {
    const auto network = TRY(platform_.resources.get(reader, TRY(ResourceId::parse(key))));
    if (!network || !is_inside(*network, *address)) continue;
    Target target;
    target.id = id;
    target.is_machine = false;
    target.places = {{{}, *address, key}};
    return target;
  }
  return fail(ErrorKind::forbidden, "TargetNotCovered",
              fmt::format("The address {} is in no virtual network that the bastion '{}' serves.",
                          address->text(), host.id.name()));
}

// A machine is a document that anybody with a resource group of their own may write, and so is its address;
// and what an agent reports is the word of that machine's root. So nobody comes to a machine that has an
// agent by describing another one with its address, nor by that agent's word alone: beside its rights, its
// policies and its record. Where an agent is seen, its machine is.
Result<void> Service::check_reach(store::Reader& reader, const Judged& judged) {
  const IpAddress& address = judged.place.address;
  const auto own = judged.target.is_machine
                       ? TRY(platform_.machines.by_resource(reader, judged.target.id.text()))
                       : std::nullopt;
  if (own && machine::reach_of(platform_.machines).seen_from(*own) == address) return {};
  if (TRY(is_of_another(reader, judged)))
    return fail(ErrorKind::forbidden, "InvalidTarget",
                fmt::format("{} is the address of another machine, which has an agent. Ask for that one by "
                            "its name.",
                            address.text()));
  const auto& reaches = parameters_.reaches;
  if (reaches.empty() ||
      std::ranges::any_of(reaches, [&](const IpPrefix& prefix) { return prefix.contains(address); }))
    return {};
  return fail(ErrorKind::forbidden, "InvalidTarget",
              fmt::format("{} is in none of the networks that this server's bastions reach "
                          "(--bastion-reaches), and no agent is seen there. Ask whoever runs the server.",
                          address.text()));
}

Result<bool> Service::is_of_another(store::Reader& reader, const Judged& judged) {
  const IpAddress& address = judged.place.address;
  const auto is_it = [&](const auto& reported) { return reported.first == address; };
  for (const Resource& nic : TRY(platform_.resources.list(
           reader, kInterfaceType, "/subscriptions/" + judged.target.id.subscription()))) {
    const auto places = places_of(nic);
    if (std::ranges::none_of(places, [&](const Place& place) { return place.address == address; })) continue;
    const auto vm = string_at(nic.body, "properties.virtualMachine.id");
    const auto other = vm && !ascii_iequal(*vm, judged.target.id.text())
                           ? TRY(platform_.machines.by_resource(reader, *vm))
                           : std::nullopt;
    if (!other) continue;
    for (const machine::ReportedInterface& interface : other->facts.interfaces)
      if (std::ranges::any_of(interface.addresses, is_it)) return true;
  }
  return false;
}

Result<std::set<std::string>> Service::networks_reached(store::Reader& reader, const Host& host) {
  std::set<std::string> networks;
  if (host.network.empty()) return networks;
  networks.insert(host.network);
  if (host.sku == Sku::developer) return networks;
  const auto own = TRY(platform_.resources.get(reader, TRY(ResourceId::parse(host.network))));
  const JsonArray* peerings = own ? array_at(own->body, "properties.virtualNetworkPeerings") : nullptr;
  if (peerings == nullptr) return networks;
  for (const Json& element : *peerings) {
    const JsonObject& peering = element.as_object();
    if (string_at(peering, "properties.peeringState") != "Connected" ||
        !bool_at(peering, "properties.allowVirtualNetworkAccess").value_or(false))
      continue;
    if (const auto remote = string_at(peering, "properties.remoteVirtualNetwork.id"))
      networks.insert(ascii_lower(*remote));
  }
  return networks;
}

// IPv4 first: Azure's bastion knows nothing else.
Result<std::optional<Place>> Service::place_in_reach(store::Reader& reader, const Host& host,
                                                     const Target& target) {
  const auto networks = TRY(networks_reached(reader, host));
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
    for (const Place& place : target.places)
      if (place.address.family() == family && networks.contains(place.network))
        return std::optional<Place>(place);
  return std::optional<Place>();
}

Result<Target> Service::find_target(store::Reader& reader, const WayIn& way,
                                    const std::optional<Host>& host) {
  if (is_id(way.target)) {
    const ResourceId id = TRY(ResourceId::parse(way.target));
    if (ascii_iequal(id.type(), kIpConnectType)) {
      if (host) return address_target(reader, *host, id);
      return fail(ErrorKind::invalid, "BastionRequired",
                  "An address alone does not say which bastion is meant. Name one (--bastion).");
    }
    if (!ascii_iequal(id.type(), kMachineType))
      return fail(ErrorKind::invalid, "InvalidTarget",
                  "'" + id.text() + "' is not a virtual machine. Only those can be reached.");
    // Nobody learns what exists beyond what they may see.
    if (!TRY(may_read(reader, way.caller, kMachineRead, id.text()))) return no_machine(way.target);
    return machine_target(reader, id);
  }
  std::vector<ResourceId> named;
  for (const Resource& vm : TRY(platform_.resources.list(
           reader, kMachineType, "/subscriptions/" + platform_.core.subscription.text()))) {
    if (!ascii_iequal(vm.id.name(), way.target)) continue;
    if (TRY(may_read(reader, way.caller, kMachineRead, vm.id.text()))) named.push_back(vm.id);
  }
  if (named.empty()) return no_machine(way.target);
  if (named.size() == 1) return machine_target(reader, named.front());
  return fail(
      ErrorKind::conflict, "MachineNameNotUnique",
      fmt::format("{} machines are called '{}'. Give the resource id of the one that you mean, such as "
                  "{}.",
                  named.size(), way.target, named.front().text()));
}

Result<std::string> Service::bastion_at(store::Reader& reader, std::string_view host) {
  for (const Host& each : TRY(hosts(reader)))
    if (ascii_iequal(each.dns_name.substr(0, each.dns_name.find(':')), host.substr(0, host.find(':'))))
      return each.id.text();
  return fail(ErrorKind::not_found, "BastionNotFound", "There is no bastion at this address.");
}

// The same rights as the gate asks, which asks them again.
Result<std::vector<Bastion::Reachable>> Service::reachable(store::Reader& reader, const Principal& caller,
                                                           std::string_view bastion_id) {
  const ResourceId id = TRY(ResourceId::parse(bastion_id));
  if (!TRY(may_read(reader, caller, kHostRead, id.text())))
    return fail(
        ErrorKind::forbidden, "AuthorizationFailed",
        "You may not use this bastion. Ask for the role Reader on it, and on the machine that you want "
        "to reach with its network interface.");
  const Host host = TRY(this->host(reader, id));
  const auto networks = TRY(networks_reached(reader, host));
  std::vector<Reachable> machines;
  for (const Resource& vm : TRY(platform_.resources.list(
           reader, kMachineType, "/subscriptions/" + platform_.core.subscription.text()))) {
    const Target target = TRY(machine_target(reader, vm.id));
    const auto place = std::ranges::find_if(
        target.places, [&](const Place& each) { return networks.contains(each.network); });
    if (place == target.places.end() || !TRY(may_read(reader, caller, kMachineRead, vm.id.text())) ||
        !TRY(may_read(reader, caller, kInterfaceRead, place->nic.text())))
      continue;
    machines.push_back({vm.id.text(), vm.id.name(), target.system});
  }
  std::ranges::sort(machines, {}, &Reachable::name);
  return machines;
}

Result<Host> Service::find_host(store::Reader& reader, const WayIn& way, const Target& target) {
  std::vector<Host> covering;
  for (Host& host : TRY(hosts(reader)))
    if (TRY(may_read(reader, way.caller, kHostRead, host.id.text())) &&
        TRY(place_in_reach(reader, host, target)))
      covering.push_back(std::move(host));
  if (covering.size() == 1) return covering.front();
  if (covering.empty())
    return fail(
        ErrorKind::not_found, "NoBastionForMachine",
        fmt::format("No bastion that you may use serves the network of '{}'. One must be in the "
                    "machine's virtual network or in a network peered with it: 'merlon bastion list'.",
                    target.id.name()));
  return fail(ErrorKind::conflict, "SeveralBastionsForMachine",
              fmt::format("{} bastions serve the network of '{}': {}. Name the one that you want to go "
                          "through.",
                          covering.size(), target.id.name(), names_of(covering)));
}

}  // namespace merlon::bastion
