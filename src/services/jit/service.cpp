// Policies and their options: written, removed, and what the world around them does to them.
#include "services/jit/service.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "resource/preconditions.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using resource::ResourceId;
using resource::WriteContext;

bool any_port(const JsonObject& body, const std::function<bool(std::string_view vm, int64_t number)>& which) {
  const JsonArray* machines = array_at(body, "virtualMachines");
  if (machines == nullptr) return false;
  for (const Json& machine : *machines)
    for (const Json& port : *array_at(machine.as_object(), "ports"))
      if (which(string_at(machine.as_object(), "id").value_or(""),
                int_at(port.as_object(), "number").value_or(0)))
        return true;
  return false;
}

}  // namespace

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
  // The path's, whatever was sent: Azure's is read-only.
  wanted["location"] = id.parts().front().second;
  JsonObject& properties = wanted["properties"].as_object();
  properties["provisioningState"] = "Succeeded";
  properties["requests"] = JsonArray();
  if (existing != nullptr) {
    if (const JsonArray* requests = array_at(existing->body, "properties.requests"))
      properties["requests"] = *requests;
    const auto is_left_out = [&](std::string_view vm_id, int64_t number) {
      const auto vm = ResourceId::parse(vm_id);
      const MachinePolicy* machine = vm ? policy.machine(*vm) : nullptr;
      return machine == nullptr || machine->port(number) == nullptr;
    };
    // Another policy would take the port up without what this one's options ask: as for deleting it.
    if (TRY(store::get<StoredOptions>(context.tx, platform_.core.tenant, id.key()))) {
      const Policy before = TRY(read_policy(existing->id, existing->body));
      const bool is_less = std::ranges::any_of(before.machines, [&](const MachinePolicy& machine) {
        return std::ranges::any_of(
            machine.ports, [&](const auto& port) { return is_left_out(machine.vm.text(), port.number); });
      });
      if (is_less) TRY(context.require(kOptionsDeletePermission, id.text()));
    }
    TRY(end_openings(context, id, "PolicyChanged",
                     [&](const PortGrant& port) { return is_left_out(port.vm_id, port.number); }));
    TRY(end_requests(context, id, "PolicyChanged",
                     [&](const WaitingRequest& waiting) { return any_port(waiting.body, is_left_out); }));
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
  // Who may delete a policy must not by that shake off what it asks of them.
  if (TRY(store::get<StoredOptions>(context.tx, platform_.core.tenant, existing.id.key()))) {
    TRY(context.require(kOptionsDeletePermission, existing.id.text()));
    TRY(store::erase<StoredOptions>(context.tx, platform_.core.tenant, existing.id.key()));
  }
  TRY(end_requests(context, existing.id, "PolicyDeleted", [](const WaitingRequest&) { return true; }));
  TRY(end_openings(context, existing.id, "PolicyDeleted", [](const PortGrant&) { return true; }));
  const std::string owner = overlay_owner(existing.id);
  for (const ResourceId& group : TRY(network_.groups_with_overlay(context.tx, owner)))
    TRY(network_.set_overlay(context, group, owner, {}));
  return {};
}

Result<void> Service::allow_removed(WriteContext& context, const network::OverlayRule& rule) {
  const auto grant = Uuid::parse(rule.id.substr(0, rule.id.find('/')));
  if (!grant) return {};
  return platform_.grants.end(context, *grant, "UserRequested");
}

Result<void> Service::layout_changed(WriteContext& context, const ResourceId& vm) {
  std::vector<ResourceId> policies;
  for (const auto& resource :
       TRY(platform_.resources.list(context.tx, kPolicyType, "/subscriptions/" + vm.subscription())))
    if (TRY(read_policy(resource.id, resource.body)).machine(vm) != nullptr) policies.push_back(resource.id);
  for (const ResourceId& policy : policies) TRY(sync_overlay(context, policy));
  if (TRY(addresses_of(context.tx, vm)).empty()) {
    std::vector<Uuid> ids;
    for (const Grant& grant : TRY(platform_.grants.of_subject(context.tx, vm.key()))) ids.push_back(grant.id);
    TRY(platform_.grants.end_together(context, ids, "MachineRemoved"));
    const auto is_of_it = [&](std::string_view vm_id, int64_t) {
      const auto id = ResourceId::parse(vm_id);
      return id && *id == vm;
    };
    for (const ResourceId& policy : policies)
      TRY(end_requests(context, policy, "MachineRemoved",
                       [&](const WaitingRequest& waiting) { return any_port(waiting.body, is_of_it); }));
  }
  return sync_openings(context, vm);
}

Result<Options> Service::options_of(store::Reader& reader, const ResourceId& policy) {
  const auto stored = TRY(store::get<StoredOptions>(reader, platform_.core.tenant, policy.key()));
  if (!stored) return Options();
  return read_options(stored->document);
}

Result<JsonObject> Service::options(store::Reader& reader, const ResourceId& policy) {
  const ResourceId id = TRY(policy_of(reader, policy)).id;
  const auto stored = TRY(store::get<StoredOptions>(reader, platform_.core.tenant, id.key()));
  JsonObject properties;
  if (stored) properties = *object_at(stored->document, "properties");
  return JsonObject{{"id", id.text() + std::string(kOptionsPart)},
                    {"name", "default"},
                    {"type", "Merlon.Jit/options"},
                    {"properties", std::move(properties)}};
}

// A name in a list that nobody has is a mistake, which would shut everybody out.
Result<void> Service::check_principals(store::Reader& reader, const Options& options) {
  std::vector<std::pair<Uuid, std::string>> named;
  for (const Uuid& id : options.approvers) named.emplace_back(id, "properties.approval.approvers");
  for (const Uuid& id : options.requesters) named.emplace_back(id, "properties.requesters");
  for (const PortRequesters& port : options.ports)
    for (const Uuid& id : port.requesters)
      named.emplace_back(id, fmt::format("properties.ports[{}].requesters", port.number));
  for (const auto& [id, target] : named)
    if (!TRY(platform_.core.directory.find_object(reader, id)))
      return fail(ErrorKind::invalid, "PrincipalNotFound",
                  "No user, group or service principal has the object id '" + id.text() +
                      "'. 'merlon user list' and 'merlon group list' show them.",
                  target);
  return {};
}

Result<JsonObject> Service::put_options(WriteContext& context, const ResourceId& policy_id) {
  const Policy policy = TRY(policy_of(context.tx, policy_id));
  const auto existing = TRY(store::get<StoredOptions>(context.tx, platform_.core.tenant, policy.id.key()));
  std::vector<std::string> tags;
  if (existing) tags.push_back(options_etag(*object_at(existing->document, "properties")));
  TRY(resource::check_preconditions(context.call.request, tags,
                                    policy.id.text() + std::string(kOptionsPart)));
  const Options options = TRY(read_options(context.call.body));
  TRY(check_principals(context.tx, options));
  for (const PortRequesters& port : options.ports)
    if (port.vm && policy.machine(*port.vm) == nullptr)
      return fail(ErrorKind::invalid, "InvalidRequestContent",
                  "The virtual machine '" + port.vm->text() + "' is not in the policy.",
                  fmt::format("properties.ports[{}].virtualMachineId", port.number));
  TRY(store::put(context.tx, platform_.core.tenant,
                 StoredOptions{.policy = policy.id.key(), .document = context.call.body}));
  context.details = {{"options", context.call.body}};
  return this->options(context.tx, policy.id);
}

Result<bool> Service::remove_options(WriteContext& context, const ResourceId& policy_id) {
  const Policy policy = TRY(policy_of(context.tx, policy_id));
  const auto existing = TRY(store::get<StoredOptions>(context.tx, platform_.core.tenant, policy.id.key()));
  std::vector<std::string> tags;
  if (existing) tags.push_back(options_etag(*object_at(existing->document, "properties")));
  TRY(resource::check_preconditions(context.call.request, tags,
                                    policy.id.text() + std::string(kOptionsPart)));
  if (!existing) return false;
  TRY(store::erase<StoredOptions>(context.tx, platform_.core.tenant, policy.id.key()));
  return true;
}

std::string options_etag(const JsonObject& properties) {
  const auto digest = crypto::sha256(as_bytes(to_canonical_text(properties)));
  return to_hex(ByteView(digest).first(16));
}

}  // namespace merlon::jit
