// Rules of the tree of management groups.
#include "access/hierarchy.h"

#include <algorithm>

#include "access/scope.h"
#include "base/text.h"
#include "base/time_text.h"
#include "identity/membership.h"

namespace merlon::access {
namespace {

constexpr size_t kDisplayNameBytesMax = 256;
constexpr const char* kRootName = "Tenant Root Group";

std::unexpected<Error> bad_request(std::string message, std::string target = {}) {
  return fail(ErrorKind::invalid, "BadRequest", std::move(message), std::move(target));
}

std::string shown(std::string_view id) { return std::string(id.substr(0, Hierarchy::kIdBytesMax)); }

std::string lower_scope(std::string_view id) { return std::string(kManagementGroups) + ascii_lower(id); }

Result<Timestamp> time_at(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return internal_error("a management group has no readable '" + std::string(key) + "'");
  return *time;
}

}  // namespace

const store::TableSpec& ManagementGroup::table() {
  static const store::TableSpec spec{"management_groups", {{"parent"}}};
  return spec;
}

std::string ManagementGroup::key() const { return ascii_lower(id); }

std::vector<std::optional<std::string>> ManagementGroup::index_values() const {
  if (parent.empty()) return {std::nullopt};
  return {parent};
}

JsonObject ManagementGroup::to_json() const {
  return {{"id", id},
          {"displayName", display_name},
          {"parent", parent},
          {"version", version},
          {"created", to_rfc3339(created)},
          {"updated", to_rfc3339(updated)},
          {"updatedBy", updated_by}};
}

Result<ManagementGroup> ManagementGroup::from_json(const JsonObject& json) {
  ManagementGroup group;
  group.id = TRY(require_string(json, "id"));
  group.display_name = TRY(require_string(json, "displayName"));
  group.parent = TRY(require_string(json, "parent"));
  group.version = TRY(require_int(json, "version"));
  group.created = TRY(time_at(json, "created"));
  group.updated = TRY(time_at(json, "updated"));
  group.updated_by = TRY(require_string(json, "updatedBy"));
  return group;
}

std::string ManagementGroup::scope() const {
  return "/providers/Microsoft.Management/managementGroups/" + id;
}

const store::TableSpec& SubscriptionPlace::table() {
  static const store::TableSpec spec{"management_group_subscriptions", {{"parent"}}};
  return spec;
}

JsonObject SubscriptionPlace::to_json() const { return {{"subscription", subscription}, {"parent", parent}}; }

Result<SubscriptionPlace> SubscriptionPlace::from_json(const JsonObject& json) {
  SubscriptionPlace place;
  place.subscription = TRY(require_string(json, "subscription"));
  place.parent = TRY(require_string(json, "parent"));
  return place;
}

// 1 to 90 letters, digits, '-', '_', '.', '(' and ')', the first a letter or digit, the last no '.' (Azure
// docs, resource-name-rules.md, Microsoft.Management).
bool Hierarchy::is_id(std::string_view text) {
  const auto is_alphanumeric = [](char c) {
    const char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && text.size() <= kIdBytesMax && is_alphanumeric(text.front()) && text.back() != '.' &&
         std::ranges::all_of(text, [&](char c) {
           return is_alphanumeric(c) || std::string_view("-_.()").find(c) != std::string_view::npos;
         });
}

bool Hierarchy::is_root(std::string_view id) const { return ascii_iequal(id, root()); }

ManagementGroup Hierarchy::root_as_made() const {
  ManagementGroup group;
  group.id = root();
  group.display_name = kRootName;
  return group;
}

Result<void> Hierarchy::note(store::Transaction& tx) const {
  return identity::decision_changes().note(tx, tenant_, random_, {"hierarchy"});
}

Result<std::optional<ManagementGroup>> Hierarchy::find(store::Reader& reader, std::string_view id) const {
  auto found = TRY(store::get<ManagementGroup>(reader, tenant_, ascii_lower(id)));
  if (!found && is_root(id)) found = root_as_made();
  return found;
}

Result<ManagementGroup> Hierarchy::require(store::Reader& reader, std::string_view id) const {
  auto found = TRY(find(reader, id));
  if (found) return *std::move(found);
  return fail(ErrorKind::not_found, "NotFound",
              "The management group '" + shown(id) +
                  "' does not exist. List the management groups to find the right id.",
              shown(id));
}

Result<std::vector<ManagementGroup>> Hierarchy::above(store::Reader& reader, std::string_view id) const {
  std::vector<ManagementGroup> groups;
  if (is_root(id)) return groups;
  const auto self = TRY(find(reader, id));
  for (std::string next = self ? self->parent : root(); !next.empty(); next = groups.back().parent) {
    auto group = TRY(find(reader, next));
    // put() allows neither; a tree that is not one must end the request and not hang it.
    if (!group || groups.size() > kLevelsMax)
      return internal_error("the management group " + next + " stands in no tree");
    groups.push_back(*std::move(group));
  }
  return groups;
}

Result<std::vector<ManagementGroup>> Hierarchy::children(store::Reader& reader, std::string_view id) const {
  return store::find<ManagementGroup>(reader, tenant_, "parent", ascii_lower(id));
}

Result<std::vector<ManagementGroup>> Hierarchy::all(store::Reader& reader) const {
  auto groups = TRY(store::scan_all<ManagementGroup>(reader, tenant_));
  if (std::ranges::none_of(groups, [&](const ManagementGroup& group) { return is_root(group.id); }))
    groups.insert(groups.begin(), root_as_made());
  return groups;
}

Result<std::string> Hierarchy::parent_of(store::Reader& reader, const Uuid& subscription) const {
  const auto place = TRY(store::get<SubscriptionPlace>(reader, tenant_, subscription.text()));
  return place ? place->parent : root();
}

Result<std::vector<std::string>> Hierarchy::placed_under(store::Reader& reader, std::string_view id) const {
  std::vector<std::string> subscriptions;
  for (const auto& place : TRY(store::find<SubscriptionPlace>(reader, tenant_, "parent", ascii_lower(id))))
    subscriptions.push_back(place.subscription);
  return subscriptions;
}

Result<HierarchyFacts> Hierarchy::facts(store::Reader& reader) const {
  return HierarchyFacts{.groups = TRY(store::scan_all<ManagementGroup>(reader, tenant_)),
                        .places = TRY(store::scan_all<SubscriptionPlace>(reader, tenant_))};
}

Result<std::vector<std::string>> Hierarchy::scopes_above(store::Reader& reader,
                                                         std::string_view normal) const {
  std::vector<std::string> scopes;
  std::string from = management_group_of(normal);
  if (is_subscription_or_below(normal)) {
    const auto subscription =
        Uuid::parse(subscription_of(normal).substr(std::string_view("/subscriptions/").size()));
    from = subscription ? TRY(parent_of(reader, *subscription)) : root();
    scopes.push_back(lower_scope(from));
  }
  if (from.empty()) return scopes;
  for (const ManagementGroup& group : TRY(above(reader, from))) scopes.push_back(lower_scope(group.id));
  return scopes;
}

Result<bool> Hierarchy::exists(store::Reader& reader, std::string_view normal) const {
  const std::string id = management_group_of(normal);
  if (id.empty()) return true;
  return TRY(find(reader, id)).has_value();
}

Result<std::vector<std::string>> Hierarchy::scopes_below(store::Reader& reader, std::string_view id) const {
  std::vector<std::string> scopes = {lower_scope(id)};
  std::vector<std::string> groups = {ascii_lower(id)};
  for (size_t i = 0; i < groups.size(); ++i) {
    const std::string group = groups[i];
    for (const std::string& subscription : TRY(placed_under(reader, group)))
      scopes.push_back("/subscriptions/" + subscription);
    for (const ManagementGroup& child : TRY(children(reader, group))) {
      groups.push_back(child.key());
      scopes.push_back(lower_scope(child.id));
    }
    if (groups.size() > kGroupsMax + 1)
      return internal_error("the management group " + std::string(id) + " stands in no tree");
  }
  return scopes;
}

Result<size_t> Hierarchy::height(store::Reader& reader, std::string_view id, size_t depth) const {
  size_t highest = 0;
  if (depth > kLevelsMax) return highest;
  for (const ManagementGroup& child : TRY(children(reader, id)))
    highest = std::max(highest, 1 + TRY(height(reader, child.id, depth + 1)));
  return highest;
}

Result<void> Hierarchy::require_room(store::Reader& reader, const ManagementGroup& group,
                                     const std::string& parent) const {
  const ManagementGroup found = TRY(require(reader, parent));
  const auto around = TRY(above(reader, parent));
  const auto is_group = [&](const ManagementGroup& other) { return ascii_iequal(other.id, group.id); };
  if (is_group(found) || std::ranges::any_of(around, is_group))
    return bad_request("The management group '" + group.id + "' cannot be moved under '" + found.id +
                           "', which is itself or stands below it. Choose a parent outside of it.",
                       "parent");
  // The root has no level; its children have the first.
  const size_t level = around.size() + 1 + TRY(height(reader, group.id, 0));
  if (level <= kLevelsMax) return {};
  return bad_request("The management group '" + group.id + "' cannot stand under '" + found.id +
                         "': the hierarchy would be " + std::to_string(level) + " levels deep, and at most " +
                         std::to_string(kLevelsMax) + " are supported. Choose a parent that is higher up.",
                     "parent");
}

Result<ManagementGroup> Hierarchy::put(store::Transaction& tx, const ManagementGroupChange& change) const {
  if (!is_id(change.id))
    return bad_request("'" + shown(change.id) +
                           "' is not a valid management group id. Use 1 to 90 letters, digits, '-', '_', "
                           "'.', '(' and ')'; the first a letter or digit, the last no '.'.",
                       "groupId");
  const auto existing = TRY(find(tx, change.id));
  ManagementGroup group = existing.value_or(ManagementGroup());
  if (!existing) {
    group.id = change.id;
    group.display_name = change.id;
    group.version = 0;
    group.created = clock_.now();
    if (TRY(all(tx)).size() > kGroupsMax)
      return bad_request("This directory already has " + std::to_string(kGroupsMax) +
                         " management groups. Delete some first.");
  }
  if (change.display_name) {
    if (trim(*change.display_name).empty() || change.display_name->size() > kDisplayNameBytesMax)
      return bad_request("A management group needs a display name of 1 to 256 bytes.", "displayName");
    group.display_name = *change.display_name;
  }
  const std::string parent = ascii_lower(change.parent.value_or(existing ? group.parent : root()));
  if (is_root(group.id)) {
    if (!parent.empty())
      return bad_request("The root management group '" + group.id + "' cannot be moved.", "parent");
  } else if (parent != group.parent) {
    TRY(require_room(tx, group, parent));
    group.parent = parent;
  }
  if (existing && existing->display_name == group.display_name && existing->parent == group.parent)
    return group;
  ++group.version;
  group.updated = clock_.now();
  group.updated_by = change.actor;
  TRY(store::put(tx, tenant_, group));
  TRY(note(tx));
  return group;
}

Result<bool> Hierarchy::remove(store::Transaction& tx, std::string_view id) const {
  if (is_root(id)) return bad_request("The root management group '" + shown(id) + "' cannot be deleted.");
  const auto group = TRY(find(tx, id));
  if (!group) return false;
  const size_t held = TRY(children(tx, id)).size() + TRY(placed_under(tx, id)).size();
  if (held > 0)
    return bad_request("The management group '" + group->id + "' still holds " + std::to_string(held) +
                       " management groups or subscriptions. Move them to another group first.");
  TRY(store::erase<ManagementGroup>(tx, tenant_, group->key()));
  TRY(note(tx));
  return true;
}

Result<void> Hierarchy::place(store::Transaction& tx, const Uuid& subscription,
                              std::string_view parent) const {
  const ManagementGroup group = TRY(require(tx, parent));
  if (TRY(parent_of(tx, subscription)) == group.key()) return {};
  if (is_root(group.id))
    TRY(store::erase<SubscriptionPlace>(tx, tenant_, subscription.text()));
  else
    TRY(store::put(tx, tenant_,
                   SubscriptionPlace{.subscription = subscription.text(), .parent = group.key()}));
  return note(tx);
}

}  // namespace merlon::access
