// Azure's types that the network service declares.
#include "services/network/declarations.h"
#include "services/network/shapes.h"
#include "services/network/shown_defaults.h"

namespace merlon::network {
namespace {

using resource::EmbeddedType;
using resource::Resource;
using resource::ResourceId;
using resource::ResourceType;
using resource::WriteContext;

constexpr std::string_view kProvider = "Microsoft.Network";

const std::vector<std::string>& api_versions() {
  static const std::vector<std::string> versions = {
      "2025-05-01", "2024-05-01", "2023-11-01", "2023-05-01", "2022-11-01", "2022-07-01", "2022-01-01",
      "2021-08-01", "2020-11-01", "2020-04-01", "2019-11-01", "2018-11-01", "2017-10-01"};
  return versions;
}

ResourceType network_type(std::string name, schema::Shape shape, std::string summary) {
  ResourceType type;
  type.provider = kProvider;
  type.type = std::move(name);
  type.api_versions = api_versions();
  type.shape = std::move(shape);
  type.etag_in_body = true;
  type.patch_replaces_tags = true;
  type.expands = true;
  type.summary = std::move(summary);
  return type;
}

ResourceType security_groups(Service& service) {
  ResourceType type =
      network_type("networkSecurityGroups", security_group_shape(),
                   "Security rules for subnets and interfaces, enforced on enrolled machines");
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource* existing,
                        JsonObject wanted) {
    return service.put_group(context, id, existing, std::move(wanted));
  };
  const std::string join_rule = "Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action";
  type.links = {
      {"properties.securityRules[].properties.sourceApplicationSecurityGroups[].id", join_rule},
      {"properties.securityRules[].properties.destinationApplicationSecurityGroups[].id", join_rule}};
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.group_changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const Resource& group) {
    return service.remove_group(context, group);
  };
  type.may_move = [&service](store::Reader& reader, const Resource& group) {
    return service.may_move_group(reader, group);
  };
  return type;
}

ResourceType virtual_networks(Service& service) {
  ResourceType type =
      network_type("virtualNetworks", virtual_network_shape(),
                   "An address space and its subnets: what the tag VirtualNetwork stands for");
  type.links = {
      {"properties.subnets[].properties.networkSecurityGroup.id",
       "Microsoft.Network/networkSecurityGroups/join/action"},
      {"properties.subnets[].properties.routeTable.id", "Microsoft.Network/routeTables/join/action"},
      {"properties.virtualNetworkPeerings[].properties.remoteVirtualNetwork.id",
       "Microsoft.Network/virtualNetworks/peer/action"}};
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource* existing,
                        JsonObject wanted) {
    return service.put_network(context, id, existing, std::move(wanted));
  };
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.network_changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const Resource& network) {
    return service.remove_network(context, network);
  };
  type.may_move = [](store::Reader&, const Resource& network) -> Result<void> {
    const JsonArray* peerings = array_at(network.body, "properties.virtualNetworkPeerings");
    if (peerings == nullptr || peerings->empty()) return {};
    return fail(ErrorKind::conflict, "VirtualNetworkHasPeerings",
                "Virtual network " + network.id.text() + " has peerings. Delete them before the move.",
                network.id.text());
  };
  return type;
}

ResourceType network_interfaces(Service& service) {
  ResourceType type = network_type("networkInterfaces", network_interface_shape(),
                                   "An interface of a machine: its addresses, subnet and security group");
  type.links = {{"properties.networkSecurityGroup.id", "Microsoft.Network/networkSecurityGroups/join/action"},
                {"properties.ipConfigurations[].properties.subnet.id",
                 "Microsoft.Network/virtualNetworks/subnets/join/action"},
                {"properties.ipConfigurations[].properties.publicIPAddress.id",
                 "Microsoft.Network/publicIPAddresses/join/action"},
                {"properties.ipConfigurations[].properties.applicationSecurityGroups[].id",
                 "Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action"}};
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource* existing,
                        JsonObject wanted) {
    return service.put_interface(context, id, existing, std::move(wanted));
  };
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.interface_changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const Resource& nic) {
    return service.remove_interface(context, nic);
  };
  // Its machine refers to it and cannot go along: that is what holds an interface (resource/moves.h).
  type.may_move = [](store::Reader&, const Resource&) -> Result<void> { return {}; };
  return type;
}

ResourceType route_tables(Service& service) {
  ResourceType type = network_type("routeTables", route_table_shape(),
                                   "Routes of one's own for subnets: next hops are answered by them");
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource* existing,
                        JsonObject wanted) {
    return service.put_route_table(context, id, existing, std::move(wanted));
  };
  type.remove = [&service](WriteContext& context, const Resource& table) {
    return service.remove_route_table(context, table);
  };
  return type;
}

ResourceType application_groups(Service& service) {
  ResourceType type = network_type("applicationSecurityGroups", application_group_shape(),
                                   "A name for interfaces: security rules that name it mean their addresses");
  type.put = [&service](WriteContext& context, const ResourceId&, const Resource* existing,
                        JsonObject wanted) {
    return service.put_application_group(context, existing, std::move(wanted));
  };
  type.remove = [&service](WriteContext& context, const Resource& group) {
    return service.remove_application_group(context, group);
  };
  return type;
}

ResourceType public_ip_addresses() {
  ResourceType type = network_type("publicIPAddresses", public_ip_address_shape(),
                                   "A public address as people know it; kept, not routed");
  type.put = [](WriteContext& context, const ResourceId&, const Resource* existing,
                JsonObject wanted) -> Result<JsonObject> {
    JsonObject& properties = wanted["properties"].is_object() ? wanted["properties"].get_object()
                                                              : wanted["properties"].emplace_object();
    // Of a new one the shape has dropped it, unless it only changes its group.
    const auto kept = string_at(existing == nullptr ? wanted : existing->body, "properties.resourceGuid");
    properties["resourceGuid"] = kept.value_or(Uuid::generate(context.core.random).text());
    properties["provisioningState"] = "Succeeded";
    show_public_address_defaults(wanted);
    return wanted;
  };
  type.may_move = [](store::Reader&, const Resource&) -> Result<void> { return {}; };
  return type;
}

EmbeddedType embedded(std::string type, std::string array_path, schema::Shape shape, std::string summary) {
  EmbeddedType embedded_type;
  embedded_type.provider = kProvider;
  embedded_type.type = std::move(type);
  embedded_type.array_path = std::move(array_path);
  embedded_type.shape = std::move(shape);
  embedded_type.expands = true;
  embedded_type.summary = std::move(summary);
  return embedded_type;
}

}  // namespace

void add_types(resource::Manager& resources, Service& service) {
  resources.add(public_ip_addresses());
  resources.add(application_groups(service));
  resources.add(route_tables(service));
  resources.add(embedded("routeTables/routes", "properties.routes", route_shape(), "One route of a table"));
  resources.add(virtual_networks(service));
  resources.add(embedded("virtualNetworks/subnets", "properties.subnets", subnet_shape(),
                         "A subnet of a virtual network"));
  resources.add(embedded("virtualNetworks/virtualNetworkPeerings", "properties.virtualNetworkPeerings",
                         peering_shape(),
                         "One side of a peering: the other network's space counts as VirtualNetwork"));
  resources.add(network_interfaces(service));
  EmbeddedType configurations = embedded("networkInterfaces/ipConfigurations", "properties.ipConfigurations",
                                         ip_configuration_shape(), "One address of a network interface");
  configurations.read_only = true;
  resources.add(std::move(configurations));
  resources.add(security_groups(service));
  resources.add(embedded("networkSecurityGroups/securityRules", "properties.securityRules",
                         security_rule_shape(), "One security rule of a group"));
  EmbeddedType defaults =
      embedded("networkSecurityGroups/defaultSecurityRules", "properties.defaultSecurityRules",
               security_rule_shape(), "The rules that every group ends with");
  defaults.read_only = true;
  resources.add(std::move(defaults));
}

}  // namespace merlon::network
