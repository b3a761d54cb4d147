// Security groups: what a person's write, an overlay, or a new reference does to the record and to what is
// shown.
#include <algorithm>
#include <ranges>

#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using machine::Access;
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

Result<JsonObject> Service::shown_document(store::Reader& reader, const ResourceId& id, JsonArray rules,
                                           JsonObject document) {
  JsonObject& properties = properties_of(document);
  if (!properties.contains("resourceGuid"))
    properties["resourceGuid"] = Uuid::generate(platform_.core.random).text();
  for (Json& rule : rules) properties_of(rule.as_object())["provisioningState"] = "Succeeded";
  properties["provisioningState"] = "Succeeded";
  if (!properties.contains("flushConnection")) properties["flushConnection"] = false;
  properties["securityRules"] = std::move(rules);
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
  for (const OverlayRule* rule : group.overlay_rules(Access::allow)) {
    const auto& removed = merged.removed_allows;
    if (std::find(removed.begin(), removed.end(), rule->id) == removed.end()) continue;
    for (const auto& hook : allow_removed_) TRY(hook(context, id, *rule));
  }
  // The hooks may have changed the overlay.
  group = TRY(group_record(context.tx, id));
  return shown_document(context.tx, id, TRY(render(group)).rules, std::move(wanted));
}

Result<void> Service::group_changed(WriteContext& context, const ResourceId& id) {
  SecurityGroup group = TRY(group_record(context.tx, id));
  const auto resource = TRY(platform_.resources.get(context.tx, id));
  MERLON_CHECK(resource.has_value());
  if (group.views.empty() || group.views.back().etag != resource->etag) {
    group.note_view(TRY(render(group)), resource->etag);
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
  for (const auto& [owner, rules] : TRY(group_record(context.tx, existing.id)).overlay)
    TRY(note_place(context.tx, {owner, existing.id.key()}, false));
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

// Stores the group, and what GET shows of it as a view.
Result<void> Service::show_group(WriteContext& context, const ResourceId& id, SecurityGroup group) {
  if (const auto resource = TRY(platform_.resources.get(context.tx, id))) {
    Rendering rendering = TRY(render(group));
    TRY(read_rules(rendering.rules));  // no more than a group may have
    JsonObject document =
        TRY(shown_document(context.tx, resource->id, std::move(rendering.rules), resource->body));
    const auto shown = TRY(platform_.resources.render(context.tx, resource->id, std::move(document)));
    if (group.views.empty() || group.views.back().etag != shown.etag) group.note_view(rendering, shown.etag);
  }
  return store::put(context.tx, platform_.core.tenant, group);
}

Result<void> Service::note_place(store::Transaction& tx, const OverlayPlace& place, bool holds) {
  if (holds) return store::put(tx, platform_.core.tenant, place);
  return store::erase<OverlayPlace>(tx, platform_.core.tenant, place.key());
}

Result<void> Service::put_overlay(WriteContext& context, const ResourceId& id, SecurityGroup group,
                                  std::string_view owner, std::vector<OverlayRule> rules) {
  std::vector<OverlayRule>& now = group.overlay[std::string(owner)];
  const auto is_deny = [](const OverlayRule& rule) { return rule.access == Access::deny; };
  const bool same = now == rules;
  const bool same_filter =
      std::ranges::equal(now | std::views::filter(is_deny), rules | std::views::filter(is_deny));
  if (now.empty() != rules.empty())
    TRY(note_place(context.tx, {std::string(owner), id.key()}, !rules.empty()));
  now = std::move(rules);
  if (now.empty()) group.overlay.erase(std::string(owner));
  if (same) return {};
  TRY(show_group(context, id, std::move(group)));
  // Allow rules are shown; what lets in is an opening, which is none of the filter's.
  if (same_filter) return {};
  return recompile_all(context, TRY(machines_of_group(context.tx, id.key())));
}

Result<void> Service::set_overlay(WriteContext& context, const ResourceId& id, std::string_view owner,
                                  std::vector<OverlayRule> rules) {
  return put_overlay(context, id, TRY(group_record(context.tx, id)), owner, std::move(rules));
}

Result<void> Service::change_overlay(WriteContext& context, const ResourceId& id, std::string_view owner,
                                     const std::function<void(std::vector<OverlayRule>&)>& edit) {
  SecurityGroup group = TRY(group_record(context.tx, id));
  std::vector<OverlayRule> rules;
  if (const auto known = group.overlay.find(std::string(owner)); known != group.overlay.end())
    rules = known->second;
  edit(rules);
  return put_overlay(context, id, std::move(group), owner, std::move(rules));
}

Result<std::vector<ResourceId>> Service::groups_with_overlay(store::Reader& reader, std::string_view owner) {
  std::vector<ResourceId> ids;
  for (const OverlayPlace& place :
       TRY(store::scan_all<OverlayPlace>(reader, platform_.core.tenant, OverlayPlace::prefix(owner))))
    ids.push_back(TRY(ResourceId::parse(place.group)));
  return ids;
}

Result<void> rewrite_security_groups(store::Transaction& tx, const TenantId& tenant) {
  for (const SecurityGroup& group : TRY(store::scan_all<SecurityGroup>(tx, tenant))) {
    TRY(store::put(tx, tenant, group));
    for (const auto& [owner, rules] : group.overlay)
      TRY(store::put(tx, tenant, OverlayPlace{owner, group.id}));
  }
  return {};
}

Result<void> Service::refresh_references(WriteContext& context, const std::string& group_key) {
  if (group_key.empty()) return {};
  auto group = TRY(store::get<SecurityGroup>(context.tx, platform_.core.tenant, group_key));
  if (!group) return {};
  const ResourceId id = TRY(ResourceId::parse(group_key));
  TRY(show_group(context, id, *std::move(group)));
  return recompile_all(context, TRY(machines_of_group(context.tx, group_key)));
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
