// Azure's selection: the longest prefix; of the same prefix a user's route before the system's; what a
// service tag stands for after a prefix that is written. Source: Azure docs, virtual-networks-udr-overview.
// Merlon moves no packets: this is where Azure would send them.
#include "services/network/next_hop.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "services/network/declarations.h"
#include "services/network/prefixes.h"
#include "services/network/watcher.h"

namespace merlon::network {
namespace {

using resource::Call;
using resource::ResourceId;
using resource::Route;

// RFC 1918 and RFC 6598: dropped, unless a network has them.
constexpr std::array<std::string_view, 4> kDropped = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                                                      "100.64.0.0/10"};

// By which of two routes for one prefix wins: the smaller.
int rank(const EffectiveRoute& route) {
  if (!route.table.empty()) return route.by_service_tag ? 1 : 0;
  return route.next_hop == "None" ? 3 : 2;  // what is in a network is not dropped
}

void add_system(std::vector<EffectiveRoute>& routes, const JsonArray* prefixes, std::string_view next_hop) {
  if (prefixes == nullptr) return;
  for (const Json& element : *prefixes)
    if (element.is_string())
      if (const auto prefix = IpPrefix::parse(element.get_string())) {
        EffectiveRoute route;
        route.prefix = *prefix;
        route.next_hop = next_hop;
        routes.push_back(std::move(route));
      }
}

void add_peers(std::vector<EffectiveRoute>& routes, const JsonObject& network) {
  const JsonArray* peerings = array_at(network, "properties.virtualNetworkPeerings");
  if (peerings == nullptr) return;
  for (const Json& element : *peerings) {
    const JsonObject& peering = element.as_object();
    if (string_at(peering, "properties.peeringState") == "Connected")
      add_system(routes, array_at(peering, "properties.remoteAddressSpace.addressPrefixes"), "VNetPeering");
  }
}

void mark_losers(std::vector<EffectiveRoute>& routes) {
  for (EffectiveRoute& route : routes)
    route.active = std::none_of(routes.begin(), routes.end(), [&](const EffectiveRoute& other) {
      return &other != &route && other.prefix == route.prefix && rank(other) < rank(route);
    });
}

JsonObject shown(const EffectiveRoute& route) {
  JsonArray appliances;
  if (route.appliance) appliances.emplace_back(route.appliance->text());
  JsonObject json = {{"source", route.table.empty() ? "Default" : "User"},
                     {"state", route.active ? "Active" : "Invalid"},
                     {"addressPrefix",
                      JsonArray{route.prefix.address().text() + "/" + std::to_string(route.prefix.length())}},
                     {"nextHopType", route.next_hop},
                     {"nextHopIpAddress", std::move(appliances)}};
  if (!route.name.empty()) json["name"] = route.name;
  return json;
}

// The machine's interface that has the source address, and is the one asked about.
Result<NicLink> interface_with(const Platform& platform, store::Reader& reader, const ResourceId& vm,
                               const IpAddress& source, std::string_view nic) {
  for (const NicLink& link : TRY(store::find<NicLink>(reader, platform.core.tenant, "vm", vm.key())))
    if ((nic.empty() || ascii_iequal(link.nic, nic)) &&
        std::find(link.addresses.begin(), link.addresses.end(), source) != link.addresses.end())
      return link;
  return wrong_parameter("sourceIPAddress", source.text() + " is not an address of " +
                                                (nic.empty() ? "the virtual machine '" + vm.name() + "'."
                                                             : "the interface '" + std::string(nic) + "'."));
}

Route next_hop_route(const Platform& platform, Service& service) {
  Route route = watcher_action("nextHop", "Where packets of a machine to an address go",
                               schema::object({schema::required("targetResourceId", schema::text()),
                                               schema::required("sourceIPAddress", schema::text()),
                                               schema::required("destinationIPAddress", schema::text()),
                                               schema::optional("targetNicResourceId", schema::text())}));
  route.read = [&platform, &service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    TRY(require_watcher(platform, call, reader));
    const ResourceId vm = TRY(readable_machine(platform, call, reader));
    const IpAddress source = TRY(address_in(call.body, "sourceIPAddress"));
    const IpAddress destination = TRY(address_in(call.body, "destinationIPAddress"));
    if (source.family() != destination.family())
      return wrong_parameter("destinationIPAddress",
                             "must be of the same address family as sourceIPAddress.");
    const NicLink link = TRY(interface_with(platform, reader, vm, source,
                                            string_at(call.body, "targetNicResourceId").value_or("")));
    const auto routes = TRY(service.effective_routes(reader, link));
    const EffectiveRoute* found = route_to(routes, destination);
    JsonObject answer = {
        {"nextHopType", found == nullptr ? "None" : found->next_hop},
        {"routeTableId", found == nullptr || found->table.empty() ? "System Route" : found->table}};
    if (found != nullptr && found->appliance) answer["nextHopIpAddress"] = found->appliance->text();
    return resource::json_response(200, answer);
  };
  return route;
}

Route route_table_route(const Platform& platform, Service& service) {
  Route route;
  route.method = "POST";
  route.path = kNetworkPath + std::string("networkInterfaces/{networkInterfaceName}/effectiveRouteTable");
  route.permission = "Microsoft.Network/networkInterfaces/effectiveRouteTable/action";
  route.summary = "The routes that apply to an interface, the system's and those of its subnet's route table";
  route.read = [&platform, &service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto link = TRY(store::get<NicLink>(reader, platform.core.tenant, call.id.key()));
    if (!link)
      return fail(ErrorKind::not_found, "ResourceNotFound",
                  "The Resource '" + call.id.type() + "/" + call.id.name() + "' under resource group '" +
                      call.id.resource_group() + "' was not found.");
    JsonArray values;
    for (const EffectiveRoute& each : TRY(service.effective_routes(reader, *link)))
      values.push_back(shown(each));
    return resource::json_response(200, {{"value", std::move(values)}});
  };
  return route;
}

}  // namespace

const EffectiveRoute* route_to(const std::vector<EffectiveRoute>& routes, const IpAddress& destination) {
  const EffectiveRoute* best = nullptr;
  for (const EffectiveRoute& route : routes)
    if (route.active && route.prefix.contains(destination) &&
        (best == nullptr || route.prefix.length() > best->prefix.length()))
      best = &route;
  return best;
}

Result<std::vector<EffectiveRoute>> Service::effective_routes(store::Reader& reader, const NicLink& link) {
  std::vector<EffectiveRoute> routes;
  std::string table_id;
  if (!link.subnet.empty()) {
    const ResourceId subnet = TRY(ResourceId::parse(link.subnet));
    if (const auto network = TRY(platform_.resources.get(reader, subnet.parent()))) {
      add_system(routes, array_at(network->body, "properties.addressSpace.addressPrefixes"), "VnetLocal");
      JsonArray own_links;
      for (const IpPrefix& prefix : link.on_link) own_links.emplace_back(prefix.text());
      add_system(routes, &own_links, "VnetLocal");
      add_peers(routes, network->body);
    }
    if (const auto at = TRY(store::get<SubnetLink>(reader, platform_.core.tenant, link.subnet)))
      table_id = at->route_table;
  }
  const JsonArray internet = {"0.0.0.0/0", "::/0"};
  add_system(routes, &internet, "Internet");
  const JsonArray dropped(kDropped.begin(), kDropped.end());
  add_system(routes, &dropped, "None");
  const auto table = table_id.empty()
                         ? std::optional<resource::Resource>()
                         : TRY(platform_.resources.get(reader, TRY(ResourceId::parse(table_id))));
  const JsonArray* own = table ? array_at(table->body, "properties.routes") : nullptr;
  if (own != nullptr)
    for (const Json& element : *own) {
      const JsonObject& json = element.as_object();
      EffectiveRoute route;
      route.next_hop = string_at(json, "properties.nextHopType").value_or("None");
      route.appliance = IpAddress::parse(string_at(json, "properties.nextHopIpAddress").value_or(""));
      route.name = string_at(json, "name").value_or("");
      route.table = table->id.text();
      const std::string text = string_at(json, "properties.addressPrefix").value_or("");
      const auto written = IpPrefix::parse(text);
      route.by_service_tag = !written;
      SecurityRule named;  // what a name stands for is looked up as for a rule
      named.destinations = {text};
      Meanings meanings;
      meanings.virtual_network = TRY(network_space(reader, link));
      if (!written) TRY(learn(reader, {named}, meanings));
      for (const IpPrefix& prefix : written ? std::vector{*written} : expand_name(text, meanings)) {
        route.prefix = prefix;
        routes.push_back(route);
      }
    }
  mark_losers(routes);
  return routes;
}

void add_next_hop_routes(const Platform& platform, Service& service) {
  platform.resources.add(next_hop_route(platform, service));
  platform.resources.add(route_table_route(platform, service));
}

}  // namespace merlon::network
