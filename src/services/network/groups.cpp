// Security groups: what a person's write, an overlay, or a new reference does to the record and to what is
// shown.
#include <algorithm>

#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using resource::ResourceId;
using resource::WriteContext;

JsonArray references(const std::set<std::string>& ids) {
  JsonArray array;
  for (const std::string& id : ids) array.push_back(JsonObject{{"id", id}});
  return array;
}

// "W/\"abc\"" and "\"abc\"" name the same view.
std::string_view bare_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

JsonObject& properties_of(JsonObject& document) {
  Json& properties = document["properties"];
  if (!properties.is_object()) properties = JsonObject();
  return properties.get_object();
}

}  // namespace

Result<SecurityGroup> Service::group_record(store::Reader& reader, const ResourceId& id) {
  auto group = TRY(store::get<SecurityGroup>(reader, platform_.core.tenant, id.key()));
  if (!group)
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "The network security group '" + id.name() + "' in resource group '" + id.resource_group() +
                    "' does not exist.",
                id.text());
  return *std::move(group);
}

Result<JsonObject> Service::shown_document(store::Reader& reader, const ResourceId& id, SecurityGroup& group,
                                           JsonObject document) {
  Rendering rendering = TRY(render(group));
  JsonObject& properties = properties_of(document);
  if (!properties.contains("resourceGuid"))
    properties["resourceGuid"] = Uuid::generate(platform_.core.random).text();
  for (Json& rule : rendering.rules) properties_of(rule.as_object())["provisioningState"] = "Succeeded";
  properties["provisioningState"] = "Succeeded";
  if (!properties.contains("flushConnection")) properties["flushConnection"] = false;
  properties["securityRules"] = std::move(rendering.rules);
  properties["defaultSecurityRules"] = default_rules_json(id.text());
  std::set<std::string> nics;
  std::set<std::string> subnets;
  for (const NicLink& link : TRY(store::find<NicLink>(reader, platform_.core.tenant, "nsg", id.key())))
    nics.insert(link.nic_text);
  for (const SubnetLink& link : TRY(store::find<SubnetLink>(reader, platform_.core.tenant, "nsg", id.key())))
    subnets.insert(link.subnet_text);
  properties.erase("flowLogs");
  JsonArray flow_logs_of_it;
  for (const FlowLog& log : TRY(flow_logs(reader)))
    if (log.target == id) flow_logs_of_it.push_back(JsonObject{{"id", log.id.text()}});
  if (!flow_logs_of_it.empty()) properties["flowLogs"] = std::move(flow_logs_of_it);
  properties.erase("networkInterfaces");
  properties.erase("subnets");
  if (!nics.empty()) properties["networkInterfaces"] = references(nics);
  if (!subnets.empty()) properties["subnets"] = references(subnets);
  return document;
}

Result<JsonObject> Service::put_group(WriteContext& context, const ResourceId& id,
                                      const resource::Resource* existing, JsonObject wanted) {
  JsonObject& properties = properties_of(wanted);
  // A copy: writing other members of the object may move its values.
  const JsonArray* listed = array_at(properties, "securityRules");
  const JsonArray sent = listed == nullptr ? JsonArray() : *listed;
  SecurityGroup group;
  group.id = id.key();
  if (existing != nullptr) {
    group = TRY(group_record(context.tx, id));
    if (const auto guid = string_at(existing->body, "properties.resourceGuid"))
      properties["resourceGuid"] = *guid;
  }
  const std::string_view etag = bare_etag(context.call.request.headers.value_or("If-Match", ""));
  Merge merged = TRY(merge(group, sent, etag));
  const auto rules = TRY(read_rules(merged.base_rules));
  TRY(check_names(context.tx, id, rules));
  TRY(note_names(context.tx, id.key(), rules));
  group.base_rules = std::move(merged.base_rules);
  TRY(store::put(context.tx, platform_.core.tenant, group));
  for (const OverlayRule* rule : group.overlay_rules(machine::Access::allow)) {
    const auto& removed = merged.removed_allows;
    if (std::find(removed.begin(), removed.end(), rule->id) == removed.end()) continue;
    for (const auto& hook : allow_removed_) TRY(hook(context, id, *rule));
  }
  // The hooks may have changed the overlay.
  group = TRY(group_record(context.tx, id));
  return shown_document(context.tx, id, group, std::move(wanted));
}

Result<void> Service::group_changed(WriteContext& context, const ResourceId& id) {
  SecurityGroup group = TRY(group_record(context.tx, id));
  const auto resource = TRY(platform_.resources.get(context.tx, id));
  MERLON_CHECK(resource.has_value());
  if (group.views.empty() || group.views.back().etag != resource->etag) {
    View view = TRY(render(group)).view;
    view.etag = resource->etag;
    group.views.push_back(std::move(view));
    if (group.views.size() > kViewsMax) group.views.erase(group.views.begin());
    TRY(store::put(context.tx, platform_.core.tenant, group));
  }
  return recompile_all(context, TRY(machines_of_group(context.tx, id.key())));
}

Result<void> Service::remove_group(WriteContext& context, const resource::Resource& existing) {
  const auto nics = TRY(store::find<NicLink>(context.tx, platform_.core.tenant, "nsg", existing.id.key()));
  const auto subnets =
      TRY(store::find<SubnetLink>(context.tx, platform_.core.tenant, "nsg", existing.id.key()));
  if (!nics.empty() || !subnets.empty())
    return fail(
        ErrorKind::invalid, "InUseNetworkSecurityGroupCannotBeDeleted",
        "Network security group " + existing.id.text() + " cannot be deleted because it is in use by " +
            (nics.empty() ? subnets.front().subnet_text : nics.front().nic_text) + ". Detach it there first.",
        existing.id.text());
  TRY(note_names(context.tx, existing.id.key(), {}));
  TRY(remove_flow_logs_of(context, existing.id));
  return store::erase<SecurityGroup>(context.tx, platform_.core.tenant, existing.id.key());
}

Result<void> Service::may_move_group(store::Reader& reader, const resource::Resource& group) {
  const SecurityGroup record = TRY(group_record(reader, group.id));
  if (record.overlay.empty()) return {};
  return fail(ErrorKind::conflict, "InUseByJustInTimeAccess",
              "Network security group " + group.id.text() +
                  " holds rules of just-in-time access. Delete the policies of the machines that it guards "
                  "first ('merlon jit policy list').",
              group.id.text());
}

Result<void> Service::show_group(WriteContext& context, const ResourceId& id, SecurityGroup group) {
  const auto resource = TRY(platform_.resources.get(context.tx, id));
  if (!resource) return {};
  JsonObject document = TRY(shown_document(context.tx, resource->id, group, resource->body));
  TRY(platform_.resources.store_document(context, resource->id, std::move(document)));
  return {};
}

Result<void> Service::set_overlay(WriteContext& context, const ResourceId& id, std::string_view owner,
                                  std::vector<OverlayRule> rules) {
  SecurityGroup group = TRY(group_record(context.tx, id));
  if (rules.empty()) {
    group.overlay.erase(std::string(owner));
  } else {
    group.overlay[std::string(owner)] = std::move(rules);
  }
  TRY(store::put(context.tx, platform_.core.tenant, group));
  return show_group(context, id, std::move(group));
}

Result<std::vector<ResourceId>> Service::groups_with_overlay(store::Reader& reader, std::string_view owner) {
  std::vector<ResourceId> ids;
  for (const SecurityGroup& group : TRY(store::scan_all<SecurityGroup>(reader, platform_.core.tenant)))
    if (group.overlay.contains(std::string(owner))) ids.push_back(TRY(ResourceId::parse(group.id)));
  return ids;
}

Result<void> Service::refresh_references(WriteContext& context, const std::string& group_key) {
  if (group_key.empty()) return {};
  auto group = TRY(store::get<SecurityGroup>(context.tx, platform_.core.tenant, group_key));
  if (!group) return {};
  return show_group(context, TRY(ResourceId::parse(group_key)), *std::move(group));
}

Result<std::set<std::string>> Service::machines_of_group(store::Reader& reader,
                                                         const std::string& group_key) {
  const TenantId& tenant = platform_.core.tenant;
  std::set<std::string> vms;
  for (const NicLink& link : TRY(store::find<NicLink>(reader, tenant, "nsg", group_key)))
    if (!link.vm.empty()) vms.insert(link.vm);
  for (const SubnetLink& subnet : TRY(store::find<SubnetLink>(reader, tenant, "nsg", group_key)))
    for (const NicLink& link : TRY(store::find<NicLink>(reader, tenant, "subnet", subnet.subnet)))
      if (!link.vm.empty()) vms.insert(link.vm);
  return vms;
}

}  // namespace merlon::network
