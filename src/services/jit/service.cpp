// Policies written, requests granted, openings ended.
#include "services/jit/service.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using resource::ResourceId;
using resource::WriteContext;

constexpr size_t kRequestsKeptMax = 100;

JsonArray texts_json(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

// Azure shows one source in the singular member and several in the plural one.
void put_sources(JsonObject& json, const std::vector<std::string>& sources) {
  if (sources.size() == 1) {
    json["allowedSourceAddressPrefix"] = sources.front();
  } else {
    json["allowedSourceAddressPrefixes"] = texts_json(sources);
  }
}

JsonObject port_json(const Grant& grant, const PortGrant& port, std::string_view reason) {
  JsonObject json = {{"number", port.number}};
  put_sources(json, port.sources);
  json["endTimeUtc"] = to_rfc3339(grant.deadline);
  json["status"] = grant.state == grant::State::active ? "Initiated" : "Revoked";
  json["statusReason"] = reason;
  return json;
}

JsonObject request_json(const AccessRequest& request, const std::vector<std::pair<Grant, PortGrant>>& opened,
                        const std::string& requestor) {
  JsonArray machines;
  for (const auto& [grant, port] : opened) {
    const auto same =
        std::find_if(machines.begin(), machines.end(), [&, &vm = port.vm_id](const Json& machine) {
          return machine.as_object().at("id").as_string() == vm;
        });
    JsonObject json = port_json(grant, port, "UserRequested");
    if (same != machines.end()) {
      same->as_object()["ports"].as_array().push_back(std::move(json));
    } else {
      machines.push_back(JsonObject{{"id", port.vm_id}, {"ports", JsonArray{std::move(json)}}});
    }
  }
  return {{"virtualMachines", std::move(machines)},
          {"startTimeUtc", to_rfc3339(opened.front().first.start)},
          {"requestor", requestor},
          {"justification", request.justification}};
}

// Azure's reasons (jitNetworkAccessPolicies.json, StatusReason); ours beyond them are shown as what they come
// closest to.
std::string_view azure_reason(std::string_view reason) {
  if (reason == "Expired" || reason == "NewerRequestInitiated") return reason;
  return "UserRequested";
}

}  // namespace

JsonObject PortGrant::to_json() const {
  return {{"policyId", policy_id},
          {"vmId", vm_id},
          {"number", number},
          {"protocol", machine::protocol_text(protocol)},
          {"sources", texts_json(sources)},
          {"requestId", request_id}};
}

Result<PortGrant> PortGrant::from_json(const JsonObject& json) {
  PortGrant port;
  port.policy_id = TRY(require_string(json, "policyId"));
  port.vm_id = TRY(require_string(json, "vmId"));
  port.number = static_cast<uint16_t>(TRY(require_int(json, "number")));
  const std::string protocol = TRY(require_string(json, "protocol"));
  for (const auto known : {machine::Protocol::any, machine::Protocol::tcp, machine::Protocol::udp})
    if (machine::protocol_text(known) == protocol) port.protocol = known;
  port.request_id = TRY(require_string(json, "requestId"));
  if (const JsonArray* sources = array_at(json, "sources"))
    for (const Json& source : *sources)
      if (source.is_string()) port.sources.emplace_back(source.get_string());
  return port;
}

Result<Policy> Service::policy_of(store::Reader& reader, const ResourceId& id) {
  const auto resource = TRY(platform_.resources.get(reader, id));
  if (!resource)
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "The just-in-time policy '" + id.name() + "' does not exist in resource group '" +
                    id.resource_group() + "'. Make one with 'merlon jit policy set'.",
                id.text());
  return read_policy(resource->id, resource->body);
}

// Azure: a machine without a security group on its interface or subnet is Unsupported; there is nothing to
// close.
Result<void> Service::check_reachable(store::Reader& reader, const Policy& policy) {
  for (const MachinePolicy& machine : policy.machines) {
    if (!TRY(platform_.resources.get(reader, machine.vm)))
      return fail(ErrorKind::not_found, "ResourceNotFound",
                  "The virtual machine '" + machine.vm.text() + "' does not exist.",
                  "properties.virtualMachines[" + machine.vm.text() + "].id");
    const auto interfaces = TRY(interfaces_of(reader, machine.vm));
    const bool guarded =
        std::any_of(interfaces.begin(), interfaces.end(),
                    [](const network::VmInterface& interface) { return !interface.groups.empty(); });
    if (!guarded)
      return fail(ErrorKind::invalid, "UnsupportedVirtualMachine",
                  "The virtual machine '" + machine.vm.name() +
                      "' has no network security group on an interface or subnet. Attach one first.",
                  "properties.virtualMachines[" + machine.vm.text() + "].id");
    for (const auto& other :
         TRY(platform_.resources.list(reader, kPolicyType, "/subscriptions/" + policy.id.subscription()))) {
      if (other.id == policy.id || TRY(read_policy(other.id, other.body)).machine(machine.vm) == nullptr)
        continue;
      return fail(ErrorKind::conflict, "VirtualMachineInOtherPolicy",
                  "The virtual machine '" + machine.vm.name() + "' is protected by the policy " +
                      other.id.text() + " already. Take it out there first.",
                  "properties.virtualMachines[" + machine.vm.text() + "].id");
    }
  }
  return {};
}

Result<JsonObject> Service::put_policy(WriteContext& context, const ResourceId& id,
                                       const resource::Resource* existing, JsonObject wanted) {
  const Policy policy = TRY(read_policy(id, wanted));
  for (const MachinePolicy& machine : policy.machines)
    TRY(context.require("Microsoft.Compute/virtualMachines/write", machine.vm.text()));
  TRY(check_reachable(context.tx, policy));
  JsonObject& properties = wanted["properties"].as_object();
  properties["provisioningState"] = "Succeeded";
  properties["requests"] = JsonArray();
  if (existing != nullptr) {
    if (const JsonArray* requests = array_at(existing->body, "properties.requests"))
      properties["requests"] = *requests;
    TRY(end_grants(context, id, "PolicyChanged", [&](const PortGrant& port) {
      const auto vm = ResourceId::parse(port.vm_id);
      const MachinePolicy* machine = vm ? policy.machine(*vm) : nullptr;
      return machine == nullptr || machine->port(port.number) == nullptr;
    }));
    if (const auto now_there = TRY(platform_.resources.get(context.tx, id)))
      if (const JsonArray* requests = array_at(now_there->body, "properties.requests"))
        properties["requests"] = *requests;
  }
  return wanted;
}

Result<void> Service::policy_changed(WriteContext& context, const ResourceId& id) {
  return sync_overlay(context, id);
}

Result<void> Service::remove_policy(WriteContext& context, const resource::Resource& existing) {
  TRY(end_grants(context, existing.id, "PolicyDeleted", [](const PortGrant&) { return true; }));
  const std::string owner = overlay_owner(existing.id);
  for (const ResourceId& group : TRY(network_.groups_with_overlay(context.tx, owner)))
    TRY(network_.set_overlay(context, group, owner, {}));
  return {};
}

Result<void> Service::end_grants(WriteContext& context, const ResourceId& policy, std::string_view reason,
                                 const std::function<bool(const PortGrant&)>& which) {
  for (const Grant& grant : TRY(platform_.grants.active(context.tx, kGrantKind))) {
    const PortGrant port = TRY(PortGrant::from_json(grant.data));
    if (TRY(ResourceId::parse(port.policy_id)) == policy && which(port))
      TRY(platform_.grants.end(context, grant.id, reason));
  }
  return {};
}

Result<void> Service::check_rights(WriteContext& context, const Policy& policy,
                                   const AccessRequest& request) {
  TRY(context.require("Microsoft.Security/locations/jitNetworkAccessPolicies/read", policy.id.text()));
  for (const PortRequest& port : request.ports) {
    TRY(context.require("Microsoft.Compute/virtualMachines/read", port.vm.text()));
    TRY(context.require_unlocked(port.vm.text()));
    for (const network::VmInterface& interface : TRY(interfaces_of(context.tx, port.vm))) {
      TRY(context.require("Microsoft.Network/networkInterfaces/read", interface.nic.text()));
      TRY(context.require_unlocked(interface.nic.text()));
      // What an opening adds is shown in them: ReadOnly on a security group keeps its doors as they are.
      for (const ResourceId& group : interface.groups) TRY(context.require_unlocked(group.text()));
    }
  }
  return {};
}

Result<Grant> Service::open_port(WriteContext& context, const Policy& policy, const AccessRequest& request,
                                 const PortRequest& port, const std::string& request_id) {
  TRY(end_grants(context, policy.id, "NewerRequestInitiated", [&](const PortGrant& older) {
    const auto vm = ResourceId::parse(older.vm_id);
    return vm && *vm == port.vm && older.number == port.number && older.sources == port.sources;
  }));
  PortGrant data;
  data.policy_id = policy.id.text();
  data.vm_id = port.vm.text();
  data.number = port.number;
  data.protocol = port.protocol;
  data.sources = port.sources;
  data.request_id = request_id;
  Grant grant;
  grant.kind = kGrantKind;
  grant.subject = port.vm.key();
  grant.holder = context.call.principal.object_id.text();
  grant.holder_name = context.call.principal.name;
  grant.justification = request.justification;
  grant.data = data.to_json();
  grant.deadline = port.end;
  grant.correlation_id = context.call.correlation_id;
  grant = TRY(platform_.grants.open(context.tx, std::move(grant)));
  TRY(context.record("Merlon.Jit/openings/open/action", port.vm.text(),
                     {{"opening", grant.id.text()},
                      {"policy", policy.id.text()},
                      {"port", port.number},
                      {"sources", texts_json(port.sources)},
                      {"until", to_rfc3339(grant.deadline)}}));
  return grant;
}

Result<JsonObject> Service::initiate(WriteContext& context, const ResourceId& policy_id) {
  const Policy policy = TRY(policy_of(context.tx, policy_id));
  const AccessRequest request =
      TRY(read_request(policy, context.call.body, context.call.principal.address, platform_.grants.now()));
  TRY(check_rights(context, policy, request));
  const std::string request_id = Uuid::generate(context.core.random).text();
  std::vector<std::pair<Grant, PortGrant>> opened;
  std::set<std::string> vms;
  for (const PortRequest& port : request.ports) {
    Grant grant = TRY(open_port(context, policy, request, port, request_id));
    PortGrant data = TRY(PortGrant::from_json(grant.data));
    vms.insert(port.vm.text());
    opened.emplace_back(std::move(grant), std::move(data));
  }
  TRY(sync_overlay(context, policy.id));
  for (const std::string& vm : vms) TRY(sync_openings(context, TRY(ResourceId::parse(vm))));
  context.justification = request.justification;
  JsonObject answer = request_json(request, opened, context.call.principal.name);
  JsonObject kept = answer;
  kept["id"] = request_id;
  TRY(remember_request(context, policy.id, std::move(kept)));
  return answer;
}

Result<void> Service::remember_request(WriteContext& context, const ResourceId& policy_id,
                                       JsonObject request) {
  const auto resource = TRY(platform_.resources.get(context.tx, policy_id));
  MERLON_CHECK(resource.has_value());
  JsonObject body = resource->body;
  Json& requests = body["properties"].as_object()["requests"];
  if (!requests.is_array()) requests = JsonArray();
  JsonArray& array = requests.get_array();
  array.push_back(std::move(request));
  while (array.size() > kRequestsKeptMax) array.erase(array.begin());
  TRY(platform_.resources.render(context.tx, resource->id, std::move(body)));
  return {};
}

Result<void> Service::ended(WriteContext& context, const Grant& grant) {
  const PortGrant port = TRY(PortGrant::from_json(grant.data));
  const ResourceId policy_id = TRY(ResourceId::parse(port.policy_id));
  const ResourceId vm = TRY(ResourceId::parse(port.vm_id));
  TRY(sync_overlay(context, policy_id));
  TRY(sync_openings(context, vm));
  if (const auto resource = TRY(platform_.resources.get(context.tx, policy_id))) {
    JsonObject body = resource->body;
    if (Json* requests = body["properties"].as_object().if_contains("requests");
        requests != nullptr && requests->is_array())
      for (Json& request : requests->get_array())
        if (string_at(request.as_object(), "id") == port.request_id)
          for (Json& machine : request.as_object()["virtualMachines"].as_array())
            if (ascii_iequal(string_at(machine.as_object(), "id").value_or(""), port.vm_id))
              for (Json& shown : machine.as_object()["ports"].as_array())
                if (int_at(shown.as_object(), "number") == port.number)
                  shown = port_json(grant, port, azure_reason(grant.end_reason));
    TRY(platform_.resources.render(context.tx, resource->id, std::move(body)));
  }
  return context.record("Merlon.Jit/openings/close/action", port.vm_id,
                        {{"opening", grant.id.text()},
                         {"policy", port.policy_id},
                         {"port", port.number},
                         {"sources", texts_json(port.sources)},
                         {"reason", grant.end_reason},
                         {"holder", grant.holder_name}});
}

Result<void> Service::allow_removed(WriteContext& context, const network::OverlayRule& rule) {
  const auto grant = Uuid::parse(rule.id.substr(0, rule.id.find('/')));
  if (!grant) return {};
  return platform_.grants.end(context, *grant, "UserRequested");
}

Result<void> Service::layout_changed(WriteContext& context, const ResourceId& vm) {
  for (const auto& resource :
       TRY(platform_.resources.list(context.tx, kPolicyType, "/subscriptions/" + vm.subscription())))
    if (TRY(read_policy(resource.id, resource.body)).machine(vm) != nullptr)
      TRY(sync_overlay(context, resource.id));
  if (TRY(addresses_of(context.tx, vm)).empty())
    for (const Grant& grant : TRY(platform_.grants.of_subject(context.tx, vm.key())))
      TRY(platform_.grants.end(context, grant.id, "MachineRemoved"));
  return sync_openings(context, vm);
}

}  // namespace merlon::jit
