// The JSON of management groups.
#include "resource/management_group_json.h"

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::resource {
namespace {

using access::ManagementGroup;

constexpr const char* kType = "Microsoft.Management/managementGroups";
constexpr const char* kSubscriptionName = "Merlon";
constexpr const char* kBase = "/providers/Microsoft.Management/managementGroups/";

JsonObject element_json(const ManagementGroup& group) {
  return {{"name", group.id}, {"displayName", group.display_name}};
}

JsonObject reference_json(const ManagementGroup& group) {
  return {{"id", group.scope()}, {"name", group.id}, {"displayName", group.display_name}};
}

JsonObject subscription_child_json(const State& state) {
  return {{"id", state.subscription_path()},
          {"type", "/subscriptions"},
          {"name", state.core.subscription.text()},
          {"displayName", kSubscriptionName}};
}

JsonArray children_json(const State& state, const GroupTree& tree, std::string_view id,
                        const Expansion& expansion) {
  JsonArray children;
  for (const ManagementGroup* child : tree.children(id)) {
    JsonObject json{
        {"id", child->scope()}, {"type", kType}, {"name", child->id}, {"displayName", child->display_name}};
    if (expansion.recurse) json["children"] = children_json(state, tree, child->id, expansion);
    children.push_back(std::move(json));
  }
  if (tree.holds_subscription(id) && !expansion.without_subscriptions)
    children.push_back(subscription_child_json(state));
  return children;
}

std::string query_text(const Call& call, std::string_view name) {
  const std::string* value = call.request.query.find(name);
  return value == nullptr ? std::string() : std::string(trim(*value));
}

JsonObject parent_json(const std::string& id) { return {{"id", kBase + id}}; }

}  // namespace

Result<GroupTree> GroupTree::read(const State& state, store::Reader& reader) {
  const access::Hierarchy& hierarchy = state.core.access.hierarchy();
  GroupTree tree;
  tree.groups_ = TRY(hierarchy.all(reader));
  tree.subscription_parent_ = TRY(hierarchy.parent_of(reader, state.core.subscription));
  for (size_t i = 0; i < tree.groups_.size(); ++i) {
    tree.by_parent_.emplace(tree.groups_[i].parent, i);
    tree.by_id_.emplace(tree.groups_[i].key(), i);
  }
  return tree;
}

const ManagementGroup* GroupTree::find(std::string_view id) const {
  const auto at = by_id_.find(ascii_lower(id));
  return at == by_id_.end() ? nullptr : &groups_[at->second];
}

std::vector<const ManagementGroup*> GroupTree::children(std::string_view id) const {
  std::vector<const ManagementGroup*> found;
  const auto [begin, end] = by_parent_.equal_range(ascii_lower(id));
  for (auto at = begin; at != end; ++at) found.push_back(&groups_[at->second]);
  return found;
}

std::vector<const ManagementGroup*> GroupTree::above(const ManagementGroup& group) const {
  std::vector<const ManagementGroup*> found;
  for (const ManagementGroup* next = find(group.parent);
       next != nullptr && found.size() <= access::Hierarchy::kLevelsMax; next = find(next->parent))
    found.push_back(next);
  return found;
}

bool GroupTree::holds_subscription(std::string_view id) const {
  return ascii_iequal(subscription_parent_, id);
}

Result<Expansion> expansion_of(const Call& call) {
  Expansion expansion;
  const std::string expand = query_text(call, "$expand");
  for (const std::string_view part : split(expand, ',')) {
    const std::string word = ascii_lower(trim(part));
    if (word == "children")
      expansion.children = true;
    else if (word == "path")
      expansion.path = true;
    else if (word == "ancestors")
      expansion.ancestors = true;
    else if (!word.empty())
      return fail(ErrorKind::invalid, "BadRequest",
                  "The query parameter '$expand' is '" + expand.substr(0, 100) +
                      "'. Use children, path or ancestors.",
                  "$expand");
  }
  const std::string recurse = query_text(call, "$recurse");
  expansion.recurse = ascii_iequal(recurse, "true");
  if (!expansion.recurse && !recurse.empty() && !ascii_iequal(recurse, "false"))
    return fail(ErrorKind::invalid, "BadRequest", "The query parameter '$recurse' is true or false.",
                "$recurse");
  if (expansion.recurse && !expansion.children)
    return fail(ErrorKind::invalid, "BadRequest",
                "The query parameter '$recurse' needs '$expand=children' beside it.", "$recurse");
  const std::string filter = query_text(call, "$filter");
  expansion.without_subscriptions = ascii_iequal(filter, "children.childType ne Subscription");
  if (!filter.empty() && !expansion.without_subscriptions)
    return fail(ErrorKind::invalid, "BadRequest",
                "The query parameter '$filter' is not understood. The one filter here is "
                "'children.childType ne Subscription'.",
                "$filter");
  return expansion;
}

JsonObject group_json(const State& state, const GroupTree& tree, const ManagementGroup& group,
                      const Expansion& expansion) {
  JsonObject details{{"version", group.version},
                     {"updatedTime", to_rfc3339(group.updated)},
                     {"updatedBy", group.updated_by}};
  const auto above = tree.above(group);
  details["parent"] = above.empty() ? Json(nullptr) : Json(reference_json(*above.front()));
  if (expansion.path) {
    JsonArray path;
    for (auto at = above.rbegin(); at != above.rend(); ++at) path.emplace_back(element_json(**at));
    path.emplace_back(element_json(group));
    details["path"] = std::move(path);
  }
  if (expansion.ancestors) {
    JsonArray names;
    JsonArray chain;
    for (const ManagementGroup* one : above) {
      names.emplace_back(one->id);
      chain.emplace_back(element_json(*one));
    }
    details["managementGroupAncestors"] = std::move(names);
    details["managementGroupAncestorsChain"] = std::move(chain);
  }
  JsonObject properties{{"tenantId", state.core.tenant.text()},
                        {"displayName", group.display_name},
                        {"details", std::move(details)},
                        {"children", nullptr}};
  if (expansion.children) properties["children"] = children_json(state, tree, group.id, expansion);
  return {{"id", group.scope()}, {"type", kType}, {"name", group.id}, {"properties", std::move(properties)}};
}

JsonObject group_info_json(const State& state, const ManagementGroup& group) {
  return {{"id", group.scope()},
          {"type", kType},
          {"name", group.id},
          {"properties", {{"tenantId", state.core.tenant.text()}, {"displayName", group.display_name}}}};
}

JsonArray descendants_json(const State& state, const GroupTree& tree, std::string_view id) {
  JsonArray found;
  std::vector<std::string> groups = {std::string(id)};
  for (size_t i = 0; i < groups.size(); ++i) {
    const ManagementGroup* parent = tree.find(groups[i]);
    if (parent == nullptr) continue;
    for (const ManagementGroup* child : tree.children(parent->id)) {
      groups.push_back(child->id);
      found.push_back(JsonObject{
          {"id", child->scope()},
          {"type", kType},
          {"name", child->id},
          {"properties", {{"displayName", child->display_name}, {"parent", parent_json(parent->id)}}}});
    }
    if (!tree.holds_subscription(parent->id)) continue;
    JsonObject subscription = subscription_child_json(state);
    subscription.erase("displayName");
    subscription["properties"] = {{"displayName", kSubscriptionName}, {"parent", parent_json(parent->id)}};
    found.push_back(std::move(subscription));
  }
  return found;
}

JsonObject placed_subscription_json(const State& state, const ManagementGroup& parent) {
  return {{"id", parent.scope() + state.subscription_path()},
          {"type", std::string(kType) + "/subscriptions"},
          {"name", state.core.subscription.text()},
          {"properties",
           {{"tenant", state.core.tenant.text()},
            {"displayName", kSubscriptionName},
            {"parent", parent_json(parent.id)},
            {"state", "Active"}}}};
}

JsonObject entity_json(const State& state, const GroupTree& tree, const ManagementGroup* group) {
  const ManagementGroup* nearest =
      group != nullptr ? tree.find(group->parent) : tree.find(tree.subscription_parent());
  JsonArray chain;
  if (nearest != nullptr) {
    chain.emplace_back(nearest->id);
    for (const ManagementGroup* one : tree.above(*nearest)) chain.insert(chain.begin(), Json(one->id));
  }
  JsonObject properties{{"tenantId", state.core.tenant.text()},
                        {"displayName", group != nullptr ? group->display_name : kSubscriptionName},
                        {"parentNameChain", std::move(chain)}};
  properties["parent"] = nearest == nullptr ? Json(JsonObject()) : Json(parent_json(nearest->id));
  JsonObject json = group != nullptr
                        ? JsonObject{{"id", group->scope()}, {"type", kType}, {"name", group->id}}
                        : subscription_child_json(state);
  json.erase("displayName");
  json["properties"] = std::move(properties);
  return json;
}

Result<std::string> parent_id_of(std::string_view text) {
  if (ascii_istarts_with(text, kBase)) text.remove_prefix(std::string_view(kBase).size());
  if (access::Hierarchy::is_id(text)) return std::string(text);
  return fail(ErrorKind::invalid, "BadRequest",
              "The parent '" + std::string(text.substr(0, 200)) +
                  "' is no management group. Give its full id, "
                  "'/providers/Microsoft.Management/managementGroups/{id}'.",
              "parent");
}

}  // namespace merlon::resource
