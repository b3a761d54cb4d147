// `explain`: which rule decides about a flow, and whether that is enforced.
#include "base/text.h"
#include "services/network/declarations.h"

namespace merlon::network {
namespace {

using machine::Flow;
using machine::InterfacePolicy;
using machine::Protocol;
using resource::Call;
using resource::ResourceId;

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

Result<Explanation> Service::explain(store::Reader& reader, const ResourceId& vm, machine::Flow flow) {
  const auto machine = TRY(platform_.machines.by_resource(reader, vm.text()));
  if (!machine)
    return fail(
        ErrorKind::not_found, "ResourceNotFound",
        "No agent is enrolled for the virtual machine '" + vm.name() + "', so nothing is enforced there.");
  const IpAddress remote = flow.inbound ? flow.source : flow.destination;
  IpAddress& local = flow.inbound ? flow.destination : flow.source;
  Explanation explanation;
  for (const InterfacePolicy& policy : machine->desired.interfaces)
    for (const IpAddress& address : policy.addresses) {
      const bool wanted = local.is_unspecified() ? address.family() == remote.family() : address == local;
      if (!wanted || !explanation.nic_id.empty()) continue;
      local = address;
      explanation.nic_id = policy.nic_id;
    }
  if (explanation.nic_id.empty())
    return fail(
        ErrorKind::invalid, "NoSuchAddress",
        "The machine '" + vm.name() + "' has no address of the same family as " + remote.text() + ".");
  explanation.flow = flow;
  explanation.verdict = machine::judge(machine->desired, flow, platform_.grants.now());
  explanation.enforced = machine->applied.mode == machine::Mode::enforce;
  explanation.blockers = machine->applied.blockers;
  return explanation;
}

void add_explain_route(resource::Manager& resources, Service& service) {
  resources.add(explain_route(service));
}

}  // namespace merlon::network
