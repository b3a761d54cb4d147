// Custom roles: what may be made, changed and removed (rbac.md, "Limits and rules"; Azure docs,
// custom-roles.md).
#include <algorithm>

#include "access/access_state.h"
#include "access/index_source.h"
#include "base/text.h"

namespace merlon::access {
namespace {

constexpr size_t kCustomRolesMax = 5000;
constexpr size_t kRoleNameBytesMax = 512;
constexpr size_t kDescriptionBytesMax = 2048;
constexpr size_t kPatternBytesMax = 512;
constexpr size_t kPatternsMax = 4096;
constexpr size_t kAssignableScopesMax = 2000;
// Every list of roles reads all of them: what one may weigh is what many of them weigh for everybody.
constexpr size_t kPermissionsMax = 64;
constexpr size_t kRoleBytesMax = 256 * 1024;

// "{namespace}/{types…}/{verb}", with "*" for whole words or at the ends of one; "*" alone is everything.
bool is_pattern(std::string_view text) {
  if (text.empty() || text.size() > kPatternBytesMax) return false;
  if (text == "*") return true;
  const auto parts = split(text, '/');
  if (parts.size() < 2) return false;
  for (const std::string_view part : parts) {
    const bool known = std::all_of(part.begin(), part.end(), [](char c) {
      const char lower = ascii_lower(c);
      return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
             c == '*' || c == '$' || c == ':' || c == ' ';
    });
    if (part.empty() || !known || std::count(part.begin(), part.end(), '*') > 1) return false;
  }
  return true;
}

Result<void> require_size(const RoleDefinition& role) {
  if (role.permissions.size() > kPermissionsMax)
    return fail(ErrorKind::invalid, "InvalidRoleDefinition",
                "A role has at most " + std::to_string(kPermissionsMax) +
                    " permissions. Put the actions of several into one.",
                "permissions");
  if (to_text(role.to_json()).size() <= kRoleBytesMax) return {};
  return fail(
      ErrorKind::invalid, "InvalidRoleDefinition",
      "A role has at most " + std::to_string(kRoleBytesMax) + " bytes. Use wildcards, or several roles.",
      "permissions");
}

Result<void> require_permissions(const RoleDefinition& role) {
  size_t count = 0;
  for (const Permission& permission : role.permissions) {
    const size_t before = count;
    for (const auto* list : {&permission.actions, &permission.not_actions, &permission.data_actions,
                             &permission.not_data_actions}) {
      count += list->size();
      for (const std::string& pattern : *list)
        if (!is_pattern(pattern))
          return fail(ErrorKind::invalid, "InvalidActionOrNotAction",
                      "'" + pattern.substr(0, 200) +
                          "' does not match any of the actions. Write it as Namespace/type/verb, such as "
                          "Microsoft.Compute/virtualMachines/read, with at most one * in each part.",
                      "permissions");
    }
    if (count == before)
      return fail(ErrorKind::invalid, "InvalidRoleDefinition",
                  "A permission of a role needs at least one entry in actions or dataActions.",
                  "permissions");
    if (!permission.condition.empty()) TRY(Condition::parse(permission.condition));
  }
  if (count > 0 && count <= kPatternsMax) return {};
  return fail(ErrorKind::invalid, "InvalidRoleDefinition",
              count == 0 ? "A role needs at least one entry in actions or dataActions."
                         : "A role has at most " + std::to_string(kPatternsMax) + " actions. Use wildcards.",
              "permissions");
}

Result<void> require_assignable_scopes(const RoleDefinition& role) {
  if (role.assignable_scopes.empty() || role.assignable_scopes.size() > kAssignableScopesMax)
    return fail(
        ErrorKind::invalid, "MissingAssignableScopes",
        "A custom role needs between 1 and " + std::to_string(kAssignableScopesMax) + " assignableScopes.",
        "assignableScopes");
  size_t management_groups = 0;
  for (const std::string& scope : role.assignable_scopes) {
    const std::string normal = TRY(require_scope(scope));
    if (normal == "/")
      return fail(ErrorKind::invalid, "InvalidAssignableScope",
                  "A custom role cannot be assignable at the root scope '/'. Name the subscriptions instead.",
                  "assignableScopes");
    if (is_management_group(normal)) ++management_groups;
  }
  if (management_groups <= 1) return {};
  return fail(ErrorKind::invalid, "InvalidAssignableScope",
              "A custom role can name only one management group in assignableScopes.", "assignableScopes");
}

// Counted by rows: the content of others' roles does not matter here.
Result<bool> has_room(store::Reader& reader, const TenantId& tenant) {
  size_t count = 0;
  store::Range range{.prefix = {}, .after = {}, .after_key = {}, .limit = 100};
  for (;;) {
    const auto rows = TRY(reader.scan(RoleDefinition::table(), tenant, range));
    count += rows.size();
    if (count >= kCustomRolesMax) return false;
    if (rows.size() < range.limit) return true;
    range.after = rows.back().key;
  }
}

}  // namespace

Result<RoleDefinition> Access::put_role(store::Transaction& tx, RoleDefinition role) {
  const TenantId& tenant = directory_.tenant();
  if (role.id.is_nil())
    return fail(ErrorKind::invalid, "InvalidRoleDefinitionId",
                "The name of a role definition must be a GUID that is not all zeros.");
  if (state_->builtin.by_id(role.id))
    return fail(ErrorKind::forbidden, "RoleDefinitionUpdateNotPermitted",
                "The role " + role.id.text() +
                    " is built in and cannot be changed. Make a custom role with a new GUID.");
  if (trim(role.name).empty() || role.name.size() > kRoleNameBytesMax ||
      role.description.size() > kDescriptionBytesMax)
    return fail(ErrorKind::invalid, "InvalidRoleDefinitionName",
                "A role needs a name of 1 to 512 bytes and a description of at most 2048.", "roleName");
  TRY(require_size(role));
  TRY(require_permissions(role));
  TRY(require_assignable_scopes(role));
  const auto same_name = TRY(role_by_name(tx, role.name));
  if (same_name && same_name->id != role.id)
    return fail(ErrorKind::conflict, "RoleDefinitionWithSameNameExists",
                "A role definition with the name '" + role.name +
                    "' already exists: " + same_name->id.text() + ". Choose another name.",
                "roleName");
  const auto existing = TRY(store::get<RoleDefinition>(tx, tenant, role.key()));
  if (!existing && !TRY(has_room(tx, tenant)))
    return fail(ErrorKind::invalid, "RoleDefinitionLimitExceeded",
                "This directory already has " + std::to_string(kCustomRolesMax) +
                    " custom roles. Delete some first.");
  role.built_in = false;
  role.updated = clock_.now();
  role.created = existing ? existing->created : role.updated;
  if (role.updated_by.empty()) role.updated_by = role.created_by;
  if (existing) role.created_by = existing->created_by;
  TRY(store::put(tx, tenant, role));
  TRY(note(tx, {role_change(role.id)}));
  return role;
}

Result<std::optional<RoleDefinition>> Access::delete_role(store::Transaction& tx, const Uuid& id) {
  if (state_->builtin.by_id(id))
    return fail(ErrorKind::forbidden, "RoleDefinitionDeleteNotPermitted",
                "The role " + id.text() + " is built in and cannot be deleted.");
  auto existing = TRY(store::get<RoleDefinition>(tx, directory_.tenant(), id.text()));
  if (!existing) return std::nullopt;
  const auto holders = TRY(tx.find(RoleAssignment::table(), directory_.tenant(), "role", id.text()));
  if (!holders.empty())
    return fail(ErrorKind::invalid, "RoleDefinitionHasAssignments",
                "The role '" + existing->name + "' still has " + std::to_string(holders.size()) +
                    " role assignments. Remove them first.");
  TRY(store::erase<RoleDefinition>(tx, directory_.tenant(), existing->key()));
  TRY(note(tx, {role_change(id)}));
  return existing;
}

}  // namespace merlon::access
