// Role assignments and deny assignments: what may be made, changed and removed (rbac.md, "Limits and rules").
#include <algorithm>
#include <iterator>

#include "access/access_state.h"
#include "access/index_source.h"
#include "base/text.h"
#include "identity/membership.h"

namespace merlon::access {
namespace {

// Azure docs, troubleshoot-limits.md.
constexpr size_t kAssignmentsPerSubscriptionMax = 4000;
constexpr size_t kAssignmentsPerManagementGroupMax = 500;

Result<void> require_condition(const std::string& condition, std::string& version) {
  if (condition.empty()) {
    version.clear();
    return {};
  }
  // "If condition is specified without conditionVersion, the version is set to the default value of 2.0."
  // (conditions-role-assignments-rest.md)
  if (version.empty()) version = "2.0";
  if (version != "2.0")
    return fail(ErrorKind::invalid, "InvalidConditionVersion",
                "The condition version '" + version.substr(0, 32) + "' is not supported. Use \"2.0\".",
                "conditionVersion");
  TRY(Condition::parse(condition));
  return {};
}

Result<void> require_room(store::Reader& reader, const TenantId& tenant, const std::string& normal) {
  const std::string subscription = subscription_of(normal);
  if (subscription.empty() && !is_management_group(normal)) return {};
  const std::string& holder = subscription.empty() ? normal : subscription;
  const size_t most =
      subscription.empty() ? kAssignmentsPerManagementGroupMax : kAssignmentsPerSubscriptionMax;
  size_t count = 0;
  for (const std::string& prefix : {holder + "\n", holder + "/"}) {
    store::Range range{.prefix = prefix, .after = {}, .after_key = {}};
    for (;;) {
      const auto rows = TRY(reader.scan(RoleAssignment::table(), tenant, range));
      count += rows.size();
      if (rows.size() < range.limit || count >= most) break;
      range.after = rows.back().key;
    }
  }
  if (count < most) return {};
  return fail(ErrorKind::invalid, "RoleAssignmentLimitExceeded",
              "No more role assignments can be made in " + holder + ": it already has " +
                  std::to_string(count) +
                  ". Remove some, or assign roles to groups instead of to single principals.");
}

bool same_target(const RoleAssignment& a, const RoleAssignment& b) {
  return a.principal_id == b.principal_id && a.role_definition_id == b.role_definition_id &&
         ascii_iequal(a.scope, b.scope);
}

// Rows of other scopes are passed over by their keys, unread: a principal may hold thousands.
Result<void> require_new(store::Reader& reader, const TenantId& tenant, const RoleAssignment& assignment,
                         const std::string& normal) {
  for (const store::Row& row :
       TRY(reader.find(RoleAssignment::table(), tenant, "principal", assignment.principal_id.text()))) {
    if (!row.key.starts_with(normal + "\n")) continue;
    const RoleAssignment other = TRY(store::decode<RoleAssignment>(row));
    if (same_target(other, assignment))
      return fail(ErrorKind::conflict, "RoleAssignmentExists",
                  "The role assignment already exists. The ID of the conflicting role assignment is " +
                      other.id.text() + ".");
  }
  return {};
}

}  // namespace

Result<void> Access::note(store::Transaction& tx, const std::vector<std::string>& what) {
  return identity::decision_changes().note(tx, directory_.tenant(), random_, what);
}

Result<bool> Access::is_assignable_at(store::Reader& reader, const RoleDefinition& role,
                                      std::string_view scope) {
  if (role.built_in) return true;
  const std::vector<std::string> around = TRY(scopes_around(reader, scope));
  return std::ranges::any_of(role.assignable_scopes, [&](const std::string& assignable) {
    const auto normal = normal_scope(assignable);
    return normal && std::ranges::find(around, *normal) != around.end();
  });
}

Result<void> Access::require_assignable_below(store::Reader& reader, std::string_view scope) {
  for (const RoleAssignment& assignment : TRY(assignments(reader, scope, Reach::at_and_below))) {
    const auto role = TRY(compiled_role(reader, assignment.role_definition_id));
    if (!role || TRY(is_assignable_at(reader, role->definition, assignment.scope))) continue;
    return fail(ErrorKind::invalid, "BadRequest",
                "The custom role '" + role->definition.name + "' is assigned at " + assignment.scope + " (" +
                    assignment.id.text() +
                    ") and would not be assignable there after this move. Remove the assignment, or add a "
                    "scope that stays above it to the role's assignableScopes.");
  }
  return {};
}

// The beginnings of the keys ("{scope}\n{id}") of all rows in reach.
Result<std::vector<std::string>> Access::key_prefixes(store::Reader& reader, std::string_view scope,
                                                      Reach reach) {
  if (reach == Reach::all) return std::vector<std::string>{""};
  const std::string normal = TRY(require_scope(scope));
  std::vector<std::string> prefixes;
  if (reach == Reach::at_and_above) {
    for (const std::string& around : TRY(scopes_around(reader, normal))) prefixes.push_back(around + "\n");
    return prefixes;
  }
  if (reach == Reach::at_scope) return std::vector<std::string>{normal + "\n"};
  if (normal == "/") return std::vector<std::string>{""};
  if (!is_management_group(normal)) return std::vector<std::string>{normal + "\n", normal + "/"};
  const std::string id = management_group_of(normal);
  if (state_->hierarchy.is_root(id))
    return std::vector<std::string>{std::string(kManagementGroups), "/subscriptions/"};
  for (const std::string& below : TRY(state_->hierarchy.scopes_below(reader, id)))
    for (const char* end : {"\n", "/"}) prefixes.push_back(below + end);
  return prefixes;
}

template <store::Record T>
Result<std::vector<T>> Access::rows_in_reach(store::Reader& reader, std::string_view scope, Reach reach) {
  std::vector<T> records;
  for (const std::string& prefix : TRY(key_prefixes(reader, scope, reach)))
    std::ranges::move(TRY(store::scan_all<T>(reader, directory_.tenant(), prefix)),
                      std::back_inserter(records));
  return records;
}

Result<RoleAssignment> Access::complete(store::Reader& reader, RoleAssignment assignment) {
  if (assignment.principal_id.is_nil())
    return fail(ErrorKind::invalid, "InvalidPrincipalId",
                "The principal id must be the object id of a user, a group or a service principal.",
                "principalId");
  const std::string& given = assignment.principal_type;
  if (!given.empty() && given != "User" && given != "Group" && given != "ServicePrincipal")
    return fail(ErrorKind::invalid, "PrincipalTypeNotSupported",
                "Principals of type '" + given.substr(0, 64) +
                    "' cannot be validated. Use User, Group or ServicePrincipal.",
                "principalType");
  const auto found = TRY(directory_.find_object(reader, assignment.principal_id));
  if (!found) {
    // A caller that names the type vouches for a principal that is not there yet (Azure docs,
    // troubleshooting.md).
    if (!given.empty()) return assignment;
    return fail(ErrorKind::invalid, "PrincipalNotFound",
                "Principal " + assignment.principal_id.text() + " does not exist in the directory " +
                    directory_.tenant().text() +
                    ". Check that you gave an object id, not an application id; for a principal made a "
                    "moment ago, set "
                    "principalType and try again.",
                "principalId");
  }
  // Conditions constrain who may be assigned by type, so a type that is not the truth must not pass.
  if (!given.empty() && given != found->type)
    return fail(ErrorKind::invalid, "UnmatchedPrincipalType",
                "The principal " + assignment.principal_id.text() + " has type '" + found->type +
                    "', which is different from the given principalType '" + given +
                    "'. Correct it or leave it out.",
                "principalType");
  assignment.principal_type = found->type;
  return assignment;
}

Result<RoleAssignment> Access::assign(store::Transaction& tx, RoleAssignment assignment) {
  const TenantId& tenant = directory_.tenant();
  const std::string normal = TRY(require_scope(assignment.scope));
  // The scope keeps the case it was given, without a slash at its end.
  while (assignment.scope.size() > 1 && assignment.scope.ends_with('/')) assignment.scope.pop_back();
  if (assignment.id.is_nil())
    return fail(ErrorKind::invalid, "InvalidRoleAssignmentId",
                "The name of a role assignment must be a GUID that is not all zeros.", "name");
  TRY(require_condition(assignment.condition, assignment.condition_version));
  assignment.updated = clock_.now();

  const auto same_name = TRY(store::find<RoleAssignment>(tx, tenant, "name", assignment.id.text()));
  if (!same_name.empty()) {
    RoleAssignment existing = same_name.front();
    if (!same_target(existing, assignment))
      return fail(ErrorKind::invalid, "RoleAssignmentUpdateNotPermitted",
                  "Tenant ID, application ID, principal ID, role and scope of the role assignment " +
                      assignment.id.text() +
                      " are not allowed to be updated. Delete it, or use a new GUID as the name.");
    if (existing.description == assignment.description && existing.condition == assignment.condition)
      return existing;
    existing.description = assignment.description;
    existing.condition = assignment.condition;
    existing.condition_version = assignment.condition_version;
    existing.updated = assignment.updated;
    existing.updated_by = assignment.updated_by.empty() ? assignment.created_by : assignment.updated_by;
    TRY(store::put(tx, tenant, existing));
    TRY(note(tx, {assignment_change(existing.key())}));
    return existing;
  }

  const auto role = TRY(compiled_role(tx, assignment.role_definition_id));
  if (!role)
    return fail(ErrorKind::not_found, "RoleDefinitionDoesNotExist",
                "The specified role definition with ID '" + assignment.role_definition_id.text() +
                    "' does not exist. List the roles to find the right id.",
                "roleDefinitionId");
  if (!TRY(is_assignable_at(tx, role->definition, normal)))
    return fail(ErrorKind::invalid, "RoleDefinitionNotAssignableAtScope",
                "The role '" + role->definition.name + "' cannot be assigned at " + assignment.scope +
                    ". Assign it at or below one of its assignableScopes, or add this scope to them.",
                "roleDefinitionId");
  assignment = TRY(complete(tx, std::move(assignment)));
  TRY(require_new(tx, tenant, assignment, normal));
  TRY(require_room(tx, tenant, normal));
  assignment.created = assignment.updated;
  if (assignment.updated_by.empty()) assignment.updated_by = assignment.created_by;
  TRY(store::put(tx, tenant, assignment));
  TRY(note(tx, {assignment_change(assignment.key())}));
  return assignment;
}

Result<std::optional<RoleAssignment>> Access::assignment(store::Reader& reader, std::string_view scope,
                                                         const Uuid& id) {
  return store::get<RoleAssignment>(reader, directory_.tenant(),
                                    TRY(require_scope(scope)) + "\n" + id.text());
}

Result<std::optional<RoleAssignment>> Access::unassign(store::Transaction& tx, std::string_view scope,
                                                       const Uuid& id) {
  auto existing = TRY(assignment(tx, scope, id));
  if (!existing) return existing;
  TRY(store::erase<RoleAssignment>(tx, directory_.tenant(), existing->key()));
  TRY(note(tx, {assignment_change(existing->key())}));
  return existing;
}

Result<std::vector<RoleAssignment>> Access::assignments(store::Reader& reader, std::string_view scope,
                                                        Reach reach) {
  return rows_in_reach<RoleAssignment>(reader, scope, reach);
}

Result<DenyAssignment> Access::deny(store::Transaction& tx, DenyAssignment assignment) {
  TRY(require_scope(assignment.scope));
  while (assignment.scope.size() > 1 && assignment.scope.ends_with('/')) assignment.scope.pop_back();
  TRY(require_condition(assignment.condition, assignment.condition_version));
  if (assignment.id.is_nil() || assignment.permissions.empty() || assignment.principals.empty())
    return fail(ErrorKind::invalid, "InvalidDenyAssignment",
                "A deny assignment needs an id, at least one permission and at least one principal.");
  for (const Permission& permission : assignment.permissions)
    if (!permission.condition.empty()) TRY(Condition::parse(permission.condition));
  const auto existing = TRY(store::get<DenyAssignment>(tx, directory_.tenant(), assignment.key()));
  assignment.updated = clock_.now();
  assignment.created = existing ? existing->created : assignment.updated;
  TRY(store::put(tx, directory_.tenant(), assignment));
  TRY(note(tx, {denial_change(assignment.key())}));
  return assignment;
}

Result<bool> Access::undeny(store::Transaction& tx, std::string_view scope, const Uuid& id) {
  const std::string key = TRY(require_scope(scope)) + "\n" + id.text();
  if (!TRY(tx.get(DenyAssignment::table(), directory_.tenant(), key))) return false;
  TRY(store::erase<DenyAssignment>(tx, directory_.tenant(), key));
  TRY(note(tx, {denial_change(key)}));
  return true;
}

Result<std::vector<DenyAssignment>> Access::deny_assignments(store::Reader& reader, std::string_view scope,
                                                             Reach reach) {
  return rows_in_reach<DenyAssignment>(reader, scope, reach);
}

Result<void> Access::forget_scope(store::Transaction& tx, std::string_view scope) {
  const std::string normal = TRY(require_scope(scope));
  if (normal == "/") return internal_error("forget_scope was asked to forget the root");
  std::vector<std::string> changes;
  for (const RoleAssignment& gone : TRY(assignments(tx, normal, Reach::at_and_below))) {
    TRY(store::erase<RoleAssignment>(tx, directory_.tenant(), gone.key()));
    changes.push_back(assignment_change(gone.key()));
  }
  for (const DenyAssignment& gone : TRY(deny_assignments(tx, normal, Reach::at_and_below))) {
    TRY(store::erase<DenyAssignment>(tx, directory_.tenant(), gone.key()));
    changes.push_back(denial_change(gone.key()));
  }
  return note(tx, changes);
}

}  // namespace merlon::access
