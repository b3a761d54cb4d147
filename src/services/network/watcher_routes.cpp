// Azure's questions about what is enforced: effective rules of an interface, IP flow verify and the security
// group view of a network watcher. All are answered from the compiled model, so they agree with the kernel.
// Azure answers them as long operations; here the answer is ready at once, which its clients accept too.
#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "services/network/declarations.h"
#include "services/network/effective.h"
#include "services/network/shapes.h"
#include "services/network/watcher.h"

namespace merlon::network {
namespace {

using machine::Flow;
using resource::Call;
using resource::ResourceId;
using resource::Route;

// The port of a side that the question leaves open: from the range of ephemeral ports (RFC 6335 section 6).
constexpr uint16_t kSomePort = 50'000;

// `may_be_open`: the side from which the connection comes may say "*".
Result<uint16_t> port_in(const JsonObject& body, std::string_view field, bool may_be_open) {
  const std::string text = string_at(body, field).value_or("");
  if (may_be_open && (text == "*" || text.empty())) return kSomePort;
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size())
    return wrong_parameter(
        field, may_be_open ? "must be a port from 0 to 65535, or *." : "must be a port from 0 to 65535.");
  return port;
}

Result<Flow> flow_in(const JsonObject& body) {
  Flow flow;
  flow.inbound = string_at(body, "direction").value_or("") == "Inbound";
  flow.protocol =
      string_at(body, "protocol").value_or("") == "UDP" ? machine::Protocol::udp : machine::Protocol::tcp;
  const IpAddress local = TRY(address_in(body, "localIPAddress"));
  const IpAddress remote = TRY(address_in(body, "remoteIPAddress"));
  if (local.family() != remote.family())
    return wrong_parameter("remoteIPAddress", "must be of the same address family as localIPAddress.");
  const uint16_t local_port = TRY(port_in(body, "localPort", !flow.inbound));
  const uint16_t remote_port = TRY(port_in(body, "remotePort", flow.inbound));
  flow.source = flow.inbound ? remote : local;
  flow.destination = flow.inbound ? local : remote;
  flow.source_port = flow.inbound ? remote_port : local_port;
  flow.destination_port = flow.inbound ? local_port : remote_port;
  return flow;
}

resource::ResourceType network_watchers() {
  resource::ResourceType type;
  type.provider = "Microsoft.Network";
  type.type = "networkWatchers";
  type.api_versions = {"2025-05-01", "2024-05-01", "2023-11-01", "2022-01-01"};
  type.shape = network_watcher_shape();
  type.etag_in_body = true;
  type.patch_replaces_tags = true;
  type.summary = "Answers what is allowed at a machine: ipFlowVerify and securityGroupView";
  type.put = [](resource::WriteContext&, const ResourceId&, const resource::Resource*,
                JsonObject wanted) -> Result<JsonObject> {
    if (!wanted["properties"].is_object()) wanted["properties"] = JsonObject();
    wanted["properties"].get_object()["provisioningState"] = "Succeeded";
    return wanted;
  };
  return type;
}

Route flow_verify_route(const Platform& platform, Service& service) {
  Route route =
      watcher_action("ipFlowVerify", "Whether a flow to or from a machine is allowed, and by which rule",
                     schema::object({schema::required("targetResourceId", schema::text()),
                                     schema::required("direction", schema::text_of({"Inbound", "Outbound"})),
                                     schema::required("protocol", schema::text_of({"TCP", "UDP"})),
                                     schema::required("localPort", schema::text()),
                                     schema::required("remotePort", schema::text()),
                                     schema::required("localIPAddress", schema::text()),
                                     schema::required("remoteIPAddress", schema::text()),
                                     schema::optional("targetNicResourceId", schema::text())}));
  route.read = [&platform, &service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    TRY(require_watcher(platform, call, reader));
    const ResourceId vm = TRY(readable_machine(platform, call, reader));
    const Flow flow = TRY(flow_in(call.body));
    const std::string nic = string_at(call.body, "targetNicResourceId").value_or("");
    const FlowAnswer answer = TRY(service.verify_flow(reader, vm, flow, nic));
    return resource::json_response(
        200, {{"access", machine::access_text(answer.access)}, {"ruleName", answer.rule_name}});
  };
  return route;
}

Route view_route(const Platform& platform, Service& service) {
  Route route = watcher_action("securityGroupView", "The security rules of a machine's interfaces",
                               schema::object({schema::required("targetResourceId", schema::text())}));
  route.read = [&platform, &service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    TRY(require_watcher(platform, call, reader));
    const ResourceId vm = TRY(readable_machine(platform, call, reader));
    JsonArray interfaces;
    for (const CompiledInterface& compiled : TRY(service.compile(reader, vm)))
      interfaces.push_back(security_group_view_json(compiled));
    return resource::json_response(200, {{"networkInterfaces", std::move(interfaces)}});
  };
  return route;
}

Route effective_route(Service& service) {
  Route route;
  route.method = "POST";
  route.path =
      kNetworkPath + std::string("networkInterfaces/{networkInterfaceName}/effectiveNetworkSecurityGroups");
  route.permission = "Microsoft.Network/networkInterfaces/effectiveNetworkSecurityGroups/action";
  route.summary = "The rules that apply to an interface, with what their names stand for";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto link = TRY(store::get<NicLink>(reader, call.tenant, call.id.key()));
    if (!link)
      return fail(ErrorKind::not_found, "ResourceNotFound",
                  "The Resource '" + call.id.type() + "/" + call.id.name() + "' under resource group '" +
                      call.id.resource_group() + "' was not found.");
    return resource::json_response(
        200, effective_groups_json(TRY(service.compile_interface(reader, *link, true))));
  };
  return route;
}

}  // namespace

Result<FlowAnswer> Service::verify_flow(store::Reader& reader, const ResourceId& vm, const Flow& flow,
                                        std::string_view nic) {
  const auto interfaces = TRY(compile(reader, vm));
  const IpAddress& local = flow.inbound ? flow.destination : flow.source;
  const CompiledInterface* asked = nullptr;
  for (const CompiledInterface& compiled : interfaces) {
    const auto& addresses = compiled.link.addresses;
    if (std::find(addresses.begin(), addresses.end(), local) != addresses.end() &&
        (nic.empty() || ascii_iequal(compiled.link.nic, nic)))
      asked = &compiled;
  }
  if (asked == nullptr)
    return wrong_parameter("localIPAddress", local.text() + " is not an address of " +
                                                 (nic.empty() ? "the virtual machine '" + vm.name() + "'."
                                                              : "the interface '" + std::string(nic) + "'."));
  // What the machine was told, when it has an agent: its openings count.
  machine::DesiredState state;
  if (const auto machine = TRY(platform_.machines.by_resource(reader, vm.text()))) {
    state = machine->desired;
  } else {
    for (const CompiledInterface& compiled : interfaces) state.interfaces.push_back(policy_of(compiled));
  }
  const auto verdict = machine::judge(state, flow, platform_.grants.now());
  FlowAnswer answer{verdict.access, verdict.rule};
  for (const CompiledLayer& layer : asked->layers)
    for (const CompiledRule& rule : flow.inbound ? layer.inbound : layer.outbound)
      if (layer.group_id == verdict.layer && rule.rule.name == verdict.rule) {
        answer.rule_name = effective_name(rule);
        return answer;
      }
  return answer;
}

void add_question_routes(const Platform& platform, Service& service) {
  platform.resources.add(network_watchers());
  platform.resources.add(effective_route(service));
  platform.resources.add(flow_verify_route(platform, service));
  platform.resources.add(view_route(platform, service));
}

}  // namespace merlon::network
