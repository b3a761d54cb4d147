// What the network service declares: Azure's types, and `explain`.
#include "base/text.h"
#include "services/network/service.h"
#include "services/network/shapes.h"

namespace merlon::network {
namespace {

using machine::Flow;
using machine::Protocol;
using resource::Call;
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
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.group_changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const Resource& group) {
    return service.remove_group(context, group);
  };
  return type;
}

ResourceType virtual_networks(Service& service) {
  ResourceType type =
      network_type("virtualNetworks", virtual_network_shape(),
                   "An address space and its subnets: what the tag VirtualNetwork stands for");
  type.links = {{"properties.subnets[].properties.networkSecurityGroup.id",
                 "Microsoft.Network/networkSecurityGroups/join/action"}};
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource*, JsonObject wanted) {
    return service.put_network(context, id, std::move(wanted));
  };
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.network_changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const Resource& network) {
    return service.remove_network(context, network);
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
                 "Microsoft.Network/publicIPAddresses/join/action"}};
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
  return type;
}

ResourceType public_ip_addresses() {
  ResourceType type = network_type("publicIPAddresses", public_ip_address_shape(),
                                   "A public address as people know it; kept, not routed");
  type.put = [](WriteContext& context, const ResourceId&, const Resource* existing,
                JsonObject wanted) -> Result<JsonObject> {
    JsonObject& properties = wanted["properties"].is_object() ? wanted["properties"].get_object()
                                                              : wanted["properties"].emplace_object();
    const auto kept =
        existing == nullptr ? std::nullopt : string_at(existing->body, "properties.resourceGuid");
    properties["resourceGuid"] = kept.value_or(Uuid::generate(context.core.random).text());
    properties["provisioningState"] = "Succeeded";
    return wanted;
  };
  return type;
}

EmbeddedType embedded(std::string type, std::string array_path, schema::Shape shape, std::string summary) {
  EmbeddedType embedded_type;
  embedded_type.provider = kProvider;
  embedded_type.type = std::move(type);
  embedded_type.array_path = std::move(array_path);
  embedded_type.shape = std::move(shape);
  embedded_type.summary = std::move(summary);
  return embedded_type;
}

Result<Flow> read_flow(const JsonObject& body) {
  Flow flow;
  const auto address = [&](std::string_view key) -> Result<IpAddress> {
    const auto parsed = IpAddress::parse(string_at(body, key).value_or(""));
    if (!parsed)
      return fail(ErrorKind::invalid, "InvalidParameter", "'" + std::string(key) + "' must be an IP address.",
                  std::string(key));
    return *parsed;
  };
  const bool from = body.contains("from");
  if (from == body.contains("to"))
    return fail(ErrorKind::invalid, "InvalidParameter", "Give either 'from' (inbound) or 'to' (outbound).",
                "from");
  flow.inbound = from;
  (from ? flow.source : flow.destination) = TRY(address(from ? "from" : "to"));
  if (body.contains("local")) (from ? flow.destination : flow.source) = TRY(address("local"));
  const std::string protocol = ascii_lower(string_at(body, "protocol").value_or("tcp"));
  flow.protocol = protocol == "udp" ? Protocol::udp : protocol == "icmp" ? Protocol::icmp : Protocol::tcp;
  flow.destination_port = static_cast<uint16_t>(int_at(body, "port").value_or(0));
  flow.source_port = static_cast<uint16_t>(int_at(body, "sourcePort").value_or(50'000));
  return flow;
}

JsonObject explanation_json(const Explanation& explanation) {
  JsonArray blockers;
  for (const std::string& blocker : explanation.blockers) blockers.emplace_back(blocker);
  return {{"access", machine::access_text(explanation.verdict.access)},
          {"ruleName", explanation.verdict.rule},
          {"networkSecurityGroupId", explanation.verdict.layer},
          {"networkInterfaceId", explanation.nic_id},
          {"direction", explanation.flow.inbound ? "Inbound" : "Outbound"},
          {"source", explanation.flow.source.text()},
          {"destination", explanation.flow.destination.text()},
          {"destinationPort", explanation.flow.destination_port},
          {"protocol", machine::protocol_text(explanation.flow.protocol)},
          {"enforced", explanation.enforced},
          {"blockers", std::move(blockers)}};
}

resource::Route explain_route(Service& service) {
  resource::Route route;
  route.method = "POST";
  route.path =
      "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Merlon.Machines/machines/"
      "{machineName}/explain";
  route.permission = "Microsoft.Network/networkWatchers/ipFlowVerify/action";
  route.checked_at = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}";
  route.summary = "Which rule decides about a flow to or from a machine, and whether it is enforced";
  route.body = schema::object(
      {schema::optional("from", schema::text().describe("address of the one who connects (inbound)")),
       schema::optional("to", schema::text().describe("address that the machine connects to (outbound)")),
       schema::optional("local", schema::text().describe("the machine's own address, when it has several")),
       schema::required("port", schema::integer().with_range(0, 65535)),
       schema::optional("sourcePort", schema::integer().with_range(0, 65535)),
       schema::optional("protocol", schema::text_of({"Tcp", "Udp", "Icmp"}))});
  // It reads only, though it is a POST: the question has a body.
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const ResourceId vm = TRY(ResourceId::parse("/subscriptions/" + call.parameter("subscriptionId") +
                                                "/resourceGroups/" + call.parameter("resourceGroupName") +
                                                "/providers/Microsoft.Compute/virtualMachines/" +
                                                call.parameter("machineName")));
    return resource::json_response(
        200, explanation_json(TRY(service.explain(reader, vm, TRY(read_flow(call.body))))));
  };
  return route;
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {SecurityGroup::table(), NicLink::table(),
                                                      SubnetLink::table()};
  return specs;
}

std::unique_ptr<Network> install(Platform& platform, compute::Compute& compute) {
  auto service = std::make_unique<Service>(platform, compute);
  resource::Manager& resources = platform.resources;
  resources.add(public_ip_addresses());
  resources.add(virtual_networks(*service));
  resources.add(embedded("virtualNetworks/subnets", "properties.subnets", subnet_shape(),
                         "A subnet of a virtual network"));
  resources.add(network_interfaces(*service));
  resources.add(security_groups(*service));
  resources.add(embedded("networkSecurityGroups/securityRules", "properties.securityRules",
                         security_rule_shape(), "One security rule of a group"));
  EmbeddedType defaults =
      embedded("networkSecurityGroups/defaultSecurityRules", "properties.defaultSecurityRules",
               security_rule_shape(), "The rules that every group ends with");
  defaults.read_only = true;
  resources.add(std::move(defaults));
  resources.add(explain_route(*service));
  Service* s = service.get();
  platform.machines.on_enrol(
      [s](WriteContext& context, machine::Machine& machine, const std::string& group_id) {
        return s->enrol(context, machine, group_id);
      });
  compute.on_changed(
      [s](WriteContext& context, const ResourceId& vm) { return s->machine_changed(context, vm); });
  compute.on_remove(
      [s](WriteContext& context, const ResourceId& vm) { return s->machine_removed(context, vm); });
  return service;
}

}  // namespace merlon::network
