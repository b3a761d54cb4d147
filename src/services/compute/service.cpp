// What happens to virtual machines when people write them, and when machines enrol.
#include "services/compute/service.h"

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "services/compute/machine_identity.h"

namespace merlon::compute {
namespace {

using resource::ResourceId;
using resource::WriteContext;

constexpr auto kSilentAfter = std::chrono::seconds(90);

JsonObject& member_object(JsonObject& parent, std::string_view key) {
  Json& member = parent[key];
  if (!member.is_object()) member = JsonObject();
  return member.get_object();
}

std::unexpected<Error> no_such_machine(const ResourceId& vm) {
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "The Resource '" + vm.type() + "/" + vm.name() + "' under resource group '" +
                  vm.resource_group() + "' was not found.");
}

void show(JsonObject& json, std::string_view key, Json value) {
  if (!json.contains(key)) json[key] = std::move(value);
}

JsonObject* object_in(JsonObject& json, std::string_view key) {
  Json* member = json.if_contains(key);
  return member == nullptr ? nullptr : member->if_object();
}

// What Azure shows of a machine although nobody has sent it; of its disks only what it was told or what every
// disk begins with.
void show_defaults(JsonObject& properties) {
  JsonObject* system = object_in(properties, "osProfile");
  if (system != nullptr) {
    show(*system, "secrets", JsonArray());
    show(*system, "allowExtensionOperations", true);
  }
  JsonObject* storage = object_in(properties, "storageProfile");
  if (storage == nullptr) return;
  show(*storage, "dataDisks", JsonArray());
  if (JsonArray* disks = storage->at("dataDisks").if_array())
    for (Json& disk : *disks)
      if (disk.is_object()) {
        show(disk.get_object(), "caching", "None");
        show(disk.get_object(), "toBeDetached", false);
      }
  JsonObject* os_disk = object_in(*storage, "osDisk");
  if (os_disk == nullptr || system == nullptr) return;
  if (system->contains("linuxConfiguration")) show(*os_disk, "osType", "Linux");
  if (system->contains("windowsConfiguration")) show(*os_disk, "osType", "Windows");
}

JsonObject status(std::string code, std::string text, Timestamp time) {
  return {{"code", std::move(code)},
          {"level", "Info"},
          {"displayStatus", std::move(text)},
          {"time", to_rfc3339(time)}};
}

}  // namespace

Result<std::vector<ResourceId>> Service::interfaces_of(store::Reader& reader, const ResourceId& vm) {
  const auto resource = TRY(platform_.resources.get(reader, vm));
  if (!resource) return no_such_machine(vm);
  std::vector<ResourceId> ids;
  const JsonArray* interfaces = array_at(resource->body, "properties.networkProfile.networkInterfaces");
  if (interfaces == nullptr) return ids;
  for (const Json& element : *interfaces) {
    const auto text = string_at(element.as_object(), "id");
    if (!text) continue;
    const bool primary = bool_at(element.as_object(), "properties.primary").value_or(false);
    ids.insert(primary ? ids.begin() : ids.end(), TRY(ResourceId::parse(*text)));
  }
  return ids;
}

Result<void> Service::attach_interface(WriteContext& context, const ResourceId& vm, const ResourceId& nic,
                                       bool primary) {
  auto resource = TRY(platform_.resources.get(context.tx, vm));
  if (!resource) return no_such_machine(vm);
  JsonObject& profile = member_object(member_object(resource->body, "properties"), "networkProfile");
  Json& interfaces = profile["networkInterfaces"];
  if (!interfaces.is_array()) interfaces = JsonArray();
  // A person may have described the machine with it.
  const bool is_there = std::ranges::any_of(interfaces.get_array(), [&](const Json& element) {
    return element.is_object() &&
           ascii_iequal(string_at(element.get_object(), "id").value_or(""), nic.text());
  });
  if (!is_there)
    interfaces.get_array().push_back(
        JsonObject{{"id", nic.text()}, {"properties", JsonObject{{"primary", primary}}}});
  TRY(platform_.resources.store_document(context, vm, std::move(resource->body)));
  return {};
}

Result<JsonObject> Service::put(WriteContext& context, const ResourceId& id,
                                const resource::Resource* existing, JsonObject wanted) {
  TRY(settle_identity(platform_, context, id, existing, wanted));
  JsonObject& properties = member_object(wanted, "properties");
  const auto kept = [&](std::string_view path) {
    return existing != nullptr ? string_at(existing->body, path) : std::optional<std::string>();
  };
  properties["vmId"] = kept("properties.vmId").value_or(Uuid::generate(context.core.random).text());
  properties["timeCreated"] = kept("properties.timeCreated").value_or(to_rfc3339(context.call.now));
  properties["provisioningState"] = "Succeeded";
  show_defaults(properties);
  return wanted;
}

Result<void> Service::changed(WriteContext& context, const ResourceId& vm) {
  for (const Hook& hook : changed_) TRY(hook(context, vm));
  return {};
}

Result<void> Service::remove(WriteContext& context, const resource::Resource& existing) {
  if (const auto machine = TRY(platform_.machines.by_resource(context.tx, existing.id.text())))
    return fail(
        ErrorKind::conflict, "OperationNotAllowed",
        "The virtual machine '" + existing.id.name() +
            "' is enrolled: its agent still protects it. Remove it first with 'merlon machine remove " +
            existing.id.name() + "'.");
  for (const Hook& hook : removed_) TRY(hook(context, existing.id));
  return end_identity(context, existing.body);
}

Result<void> Service::enrol(WriteContext& context, machine::Machine& machine) {
  const ResourceId id = TRY(ResourceId::parse(machine.resource_id));
  const machine::MachineFacts& facts = machine.facts;
  JsonObject properties = {
      {"vmId", machine.id.text()},
      {"hardwareProfile", JsonObject{{"vmSize", "Merlon_Enrolled"}}},
      {"osProfile", JsonObject{{"computerName", facts.hostname}}},
      {"storageProfile", JsonObject{{"osDisk", JsonObject{{"osType", "Linux"}, {"createOption", "Attach"}}}}},
      {"networkProfile", JsonObject{{"networkInterfaces", JsonArray()}}},
      {"provisioningState", "Succeeded"},
      {"timeCreated", to_rfc3339(machine.enrolled)}};
  JsonObject body = {{"location", context.core.default_location}, {"properties", std::move(properties)}};
  // A person may have described the machine before it enrolled: then only what its agent knows is new.
  if (auto known = TRY(platform_.resources.get(context.tx, id))) {
    member_object(known->body, "properties")["vmId"] = machine.id.text();
    body = std::move(known->body);
  }
  show_defaults(member_object(body, "properties"));
  TRY(platform_.resources.store_document(context, id, std::move(body)));
  return {};
}

Result<void> Service::forget(WriteContext& context, const machine::Machine& machine) {
  const ResourceId id = TRY(ResourceId::parse(machine.resource_id));
  TRY(context.require_unlocked(id.text(), resource::Change::remove));
  TRY(context.require_removable(id.text()));
  for (const Hook& hook : removed_) TRY(hook(context, id));
  if (const auto known = TRY(platform_.resources.get(context.tx, id)))
    TRY(end_identity(context, known->body));
  return platform_.resources.erase(context.tx, id);
}

Result<JsonObject> Service::instance_view(store::Reader& reader, const ResourceId& vm, Timestamp now) {
  const auto resource = TRY(platform_.resources.get(reader, vm));
  if (!resource) return no_such_machine(vm);
  JsonArray statuses = {status("ProvisioningState/succeeded", "Provisioning succeeded", now)};
  JsonObject view;
  if (const auto machine = TRY(platform_.machines.by_resource(reader, vm.text()))) {
    const bool connected = machine->last_seen && now - *machine->last_seen <= kSilentAfter;
    statuses.push_back(connected ? status("PowerState/running", "VM running", now)
                                 : status("PowerState/unknown", "VM does not report", now));
    view["computerName"] = machine->facts.hostname;
    view["osName"] = machine->facts.os_name;
    view["osVersion"] = machine->facts.os_version;
  } else {
    statuses.push_back(status("PowerState/unknown", "No agent is enrolled for this machine", now));
  }
  view["statuses"] = std::move(statuses);
  return view;
}

}  // namespace merlon::compute
