// Source: azure-rest-api-specs, Microsoft.Network: networkSecurityGroup.json, virtualNetwork.json,
// networkInterface.json, publicIpAddress.json. What Merlon does not act on is kept as it came.
#include "services/network/shapes.h"

#include "base/ip.h"
#include "services/network/flow_log.h"
#include "services/network/security_rule.h"

namespace merlon::network {
namespace {

using schema::anything;
using schema::array_of;
using schema::boolean;
using schema::defaulted;
using schema::integer;
using schema::map_of;
using schema::object;
using schema::optional;
using schema::read_only;
using schema::required;
using schema::Shape;
using schema::text;
using schema::text_of;

constexpr int64_t kAddressesMax =
    256;  // of one interface, as an agent takes them (machine/desired_state.cpp)

std::optional<std::string> check_prefix(std::string_view value) {
  if (value.find('/') != std::string_view::npos && IpPrefix::parse(value)) return std::nullopt;
  return "is not a CIDR prefix such as 10.0.0.0/24";
}

std::optional<std::string> check_address(std::string_view value) {
  if (IpAddress::parse(value)) return std::nullopt;
  return "is not an IP address";
}

Shape reference() { return object({required("id", text())}); }

Shape prefix() { return text().with_check(check_prefix); }

// A tracked document: location, tags and the type's own properties.
Shape document(Shape properties) {
  return object({optional("location", text()), optional("tags", map_of(text())),
                 optional("zones", array_of(text())), optional("extendedLocation", anything()),
                 optional("sku", anything()), optional("properties", std::move(properties))});
}

Shape rule_properties() {
  return object({optional("description", text().with_range(0, 140)),
                 required("protocol", text_of({"Tcp", "Udp", "Icmp", "Esp", "Ah", "*"})),
                 optional("sourcePortRange", text().with_check(check_port_range)),
                 optional("destinationPortRange", text().with_check(check_port_range)),
                 optional("sourcePortRanges", array_of(text().with_check(check_port_range))),
                 optional("destinationPortRanges", array_of(text().with_check(check_port_range))),
                 optional("sourceAddressPrefix", text().with_check(check_address_prefix)),
                 optional("sourceAddressPrefixes",
                          array_of(text().with_check(check_address_prefix)).with_range(0, 4000)),
                 optional("destinationAddressPrefix", text().with_check(check_address_prefix)),
                 optional("destinationAddressPrefixes",
                          array_of(text().with_check(check_address_prefix)).with_range(0, 4000)),
                 optional("sourceApplicationSecurityGroups", array_of(reference())),
                 optional("destinationApplicationSecurityGroups", array_of(reference())),
                 required("access", text_of({"Allow", "Deny"})),
                 required("priority", integer().with_range(kPriorityMin, kPriorityMax)),
                 required("direction", text_of({"Inbound", "Outbound"})),
                 read_only("provisioningState", text())});
}

Shape subnet_properties() {
  return object({optional("addressPrefix", prefix()), optional("addressPrefixes", array_of(prefix())),
                 optional("networkSecurityGroup", reference()), optional("routeTable", reference()),
                 optional("natGateway", reference()), optional("serviceEndpoints", anything()),
                 optional("serviceEndpointPolicies", anything()), optional("delegations", anything()),
                 optional("privateEndpointNetworkPolicies", text()),
                 optional("privateLinkServiceNetworkPolicies", text()),
                 optional("defaultOutboundAccess", boolean()), read_only("ipConfigurations", anything()),
                 read_only("provisioningState", text()), read_only("purpose", text())});
}

Shape ip_configuration_properties() {
  return object({optional("privateIPAddress", text().with_check(check_address)),
                 defaulted("privateIPAllocationMethod", text_of({"Static", "Dynamic"}), "Dynamic"),
                 defaulted("privateIPAddressVersion", text_of({"IPv4", "IPv6"}), "IPv4"),
                 optional("subnet", reference()), optional("publicIPAddress", reference()),
                 optional("applicationSecurityGroups", array_of(reference())), optional("primary", boolean()),
                 read_only("provisioningState", text())});
}

// Without allowVirtualNetworkAccess nothing is let through: Merlon opens only what somebody said.
Shape peering_properties() {
  return object(
      {required("remoteVirtualNetwork", reference()),
       defaulted("allowVirtualNetworkAccess", boolean(), false),
       defaulted("allowForwardedTraffic", boolean(), false),
       defaulted("allowGatewayTransit", boolean(), false), defaulted("useRemoteGateways", boolean(), false),
       optional("doNotVerifyRemoteGateways", boolean()), optional("peerCompleteVnets", boolean()),
       optional("remoteAddressSpace", anything()), optional("remoteVirtualNetworkAddressSpace", anything()),
       read_only("peeringState", text()), read_only("peeringSyncLevel", text()),
       read_only("remoteBgpCommunities", anything()), read_only("remoteVirtualNetworkEncryption", anything()),
       read_only("resourceGuid", text()), read_only("provisioningState", text())});
}

}  // namespace

Shape ip_configuration_shape() {
  return object({required("name", text()), optional("properties", ip_configuration_properties())});
}

Shape application_group_shape() {
  return document(object({read_only("resourceGuid", text()), read_only("provisioningState", text())}));
}

Shape peering_shape() {
  return object({required("name", text()), required("properties", peering_properties())});
}

Shape network_watcher_shape() { return document(object({read_only("provisioningState", text())})); }

Shape flow_analytics_shape() {
  return object(
      {optional("networkWatcherFlowAnalyticsConfiguration",
                object({optional("enabled", boolean()), optional("workspaceId", text()),
                        optional("workspaceRegion", text()), optional("workspaceResourceId", text()),
                        optional("trafficAnalyticsInterval", integer())}))});
}

namespace {

std::vector<schema::Member> flow_log_settings() {
  return {
      required("storageId", text()), defaulted("enabled", boolean(), false),
      optional("retentionPolicy", object({defaulted("days", integer().with_range(0, kRetentionDaysMax), 0),
                                          defaulted("enabled", boolean(), false)})),
      optional("format", object({defaulted("type", text_of({"JSON"}), "JSON"),
                                 defaulted("version", integer().with_range(0, 2), 2)}))};
}

}  // namespace

Shape flow_log_settings_shape() { return object(flow_log_settings()); }

Shape flow_log_shape() {
  std::vector<schema::Member> properties = flow_log_settings();
  properties.insert(properties.begin(), required("targetResourceId", text()));
  properties.push_back(optional("flowAnalyticsConfiguration", flow_analytics_shape()));
  properties.push_back(read_only("targetResourceGuid", text()));
  properties.push_back(read_only("resourceGuid", text()));
  properties.push_back(read_only("provisioningState", text()));
  return object({optional("location", text()), optional("tags", map_of(text())),
                 optional("identity", anything()), required("properties", object(std::move(properties)))});
}

Shape security_rule_shape() {
  return object({required("name", text()), required("properties", rule_properties())});
}

Shape security_group_shape() {
  return document(
      object({optional("securityRules", array_of(security_rule_shape()).with_range(0, 4000)),
              optional("flushConnection", boolean()), read_only("defaultSecurityRules", anything()),
              read_only("networkInterfaces", anything()), read_only("subnets", anything()),
              read_only("flowLogs", anything()), read_only("resourceGuid", text()),
              read_only("provisioningState", text())}));
}

Shape subnet_shape() {
  return object({required("name", text()), optional("properties", subnet_properties())});
}

Shape route_shape() {
  return object(
      {required("name", text()),
       optional("properties",
                object({required("addressPrefix", text()),
                        required("nextHopType", text_of({"VirtualNetworkGateway", "VnetLocal", "Internet",
                                                         "VirtualAppliance", "None"})),
                        optional("nextHopIpAddress", text().with_check(check_address)),
                        read_only("hasBgpOverride", boolean()), read_only("provisioningState", text())}))});
}

Shape route_table_shape() {
  return document(
      object({optional("routes", array_of(route_shape())),
              defaulted("disableBgpRoutePropagation", boolean(), false), read_only("subnets", anything()),
              read_only("resourceGuid", text()), read_only("provisioningState", text())}));
}

Shape virtual_network_shape() {
  return document(
      object({required("addressSpace", object({required("addressPrefixes", array_of(prefix()))})),
              optional("dhcpOptions", object({optional("dnsServers", array_of(text()))})),
              optional("subnets", array_of(subnet_shape()).with_range(0, 3000)),
              optional("virtualNetworkPeerings", array_of(peering_shape())),
              optional("enableDdosProtection", boolean()), optional("enableVmProtection", boolean()),
              optional("ddosProtectionPlan", reference()),
              optional("bgpCommunities", object({required("virtualNetworkCommunity", text()),
                                                 read_only("regionalCommunity", text())})),
              optional("encryption",
                       object({required("enabled", boolean()),
                               optional("enforcement", text_of({"AllowUnencrypted", "DropUnencrypted"}))})),
              optional("flowTimeoutInMinutes", integer().with_range(4, 30)),
              read_only("resourceGuid", text()), read_only("provisioningState", text())}));
}

Shape network_interface_shape() {
  return document(object(
      {optional("ipConfigurations", array_of(ip_configuration_shape()).with_range(0, kAddressesMax)),
       optional("networkSecurityGroup", reference()),
       optional("dnsSettings",
                object({optional("dnsServers", array_of(text())), optional("internalDnsNameLabel", text())})),
       optional("enableIPForwarding", boolean()), optional("enableAcceleratedNetworking", boolean()),
       optional("nicType", text_of({"Standard", "Elastic"})), read_only("virtualMachine", anything()),
       read_only("macAddress", text()), read_only("primary", boolean()), read_only("resourceGuid", text()),
       read_only("provisioningState", text())}));
}

Shape public_ip_address_shape() {
  return document(object(
      {defaulted("publicIPAllocationMethod", text_of({"Static", "Dynamic"}), "Dynamic"),
       defaulted("publicIPAddressVersion", text_of({"IPv4", "IPv6"}), "IPv4"),
       optional("ipAddress", text().with_check(check_address)),
       optional("idleTimeoutInMinutes", integer().with_range(4, 30)),
       optional("dnsSettings", object({optional("domainNameLabel", text()), optional("reverseFqdn", text()),
                                       read_only("fqdn", text())})),
       optional("ipTags", anything()), optional("publicIPPrefix", reference()),
       optional("deleteOption", text_of({"Delete", "Detach"})), read_only("ipConfiguration", anything()),
       read_only("resourceGuid", text()), read_only("provisioningState", text())}));
}

}  // namespace merlon::network
