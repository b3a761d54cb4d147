// The lists of Microsoft.Authorization, filtered.
#include <algorithm>
#include <iterator>
#include <set>

#include "access/scope.h"
#include "access/wire.h"
#include "base/text.h"

namespace merlon::access {
namespace {

// Azure lists what is at, above and below a scope; atScope() leaves out what is below, atScopeAndBelow() what
// is above (role-assignments-list-rest.md). `read` answers for one reach.
template <class T, class Read>
Result<std::vector<T>> in_reach(std::string_view scope, const ListFilter& filter, Read read) {
  using Reach = Access::Reach;
  if (filter.at_scope) return read(Reach::at_and_above);
  if (filter.at_scope_and_below) return read(Reach::at_and_below);
  std::vector<T> above = TRY(read(Reach::at_and_above));
  const std::string normal = TRY(require_scope(scope));
  std::erase_if(above, [&](const T& record) { return normal_scope(record.scope) == normal; });
  std::vector<T> records = TRY(read(Reach::at_and_below));
  std::ranges::move(above, std::back_inserter(records));
  return records;
}

// The ids that a filter asks for; nothing when it asks for nobody in particular.
Result<std::optional<std::set<Uuid>>> wanted_principals(Access& access, store::Reader& reader,
                                                        const ListFilter& filter) {
  std::optional<std::set<Uuid>> wanted;
  if (filter.assigned_to) {
    const auto ids = TRY(access.principal_and_groups(reader, *filter.assigned_to));
    wanted.emplace(ids.begin(), ids.end());
  }
  if (filter.principal_id) {
    const bool possible = !wanted || wanted->contains(*filter.principal_id);
    wanted.emplace();
    if (possible) wanted->insert(*filter.principal_id);
  }
  return wanted;
}

template <class T>
void sort_by_key(std::vector<T>& records) {
  std::ranges::sort(records, {}, [](const T& record) { return record.key(); });
}

bool is_listed_at(const RoleDefinition& role, const std::string& normal, bool and_below) {
  if (role.built_in) return true;
  return std::ranges::any_of(role.assignable_scopes, [&](const std::string& assignable) {
    const auto outer = normal_scope(assignable);
    return outer && (is_at_or_below(normal, *outer) || (and_below && is_at_or_below(*outer, normal)));
  });
}

}  // namespace

Result<std::vector<RoleDefinition>> list_role_definitions(Access& access, store::Reader& reader,
                                                          std::string_view scope, const ListFilter& filter) {
  const std::string normal = TRY(require_scope(scope));
  std::vector<RoleDefinition> roles;
  if (filter.role_name) {
    auto named = TRY(access.role_by_name(reader, *filter.role_name));
    if (named) roles.push_back(*std::move(named));
  } else {
    roles = TRY(access.roles(reader));
  }
  std::erase_if(roles, [&](const RoleDefinition& role) {
    if (filter.role_type && (*filter.role_type == "BuiltInRole") != role.built_in) return true;
    return !is_listed_at(role, normal, filter.at_scope_and_below);
  });
  return roles;
}

Result<std::vector<RoleAssignment>> list_role_assignments(Access& access, store::Reader& reader,
                                                          std::string_view scope, const ListFilter& filter) {
  const auto wanted = TRY(wanted_principals(access, reader, filter));
  auto records = TRY(in_reach<RoleAssignment>(
      scope, filter, [&](Access::Reach reach) { return access.assignments(reader, scope, reach); }));
  if (wanted)
    std::erase_if(records,
                  [&](const RoleAssignment& record) { return !wanted->contains(record.principal_id); });
  sort_by_key(records);
  return records;
}

Result<std::vector<DenyAssignment>> list_deny_assignments(Access& access, store::Reader& reader,
                                                          std::string_view scope, const ListFilter& filter) {
  const auto wanted = TRY(wanted_principals(access, reader, filter));
  auto records = TRY(in_reach<DenyAssignment>(
      scope, filter, [&](Access::Reach reach) { return access.deny_assignments(reader, scope, reach); }));
  std::erase_if(records, [&](const DenyAssignment& record) {
    if (filter.denial_name && !ascii_iequal(*filter.denial_name, record.name)) return true;
    return wanted && std::ranges::none_of(record.principals, [&](const DenyPrincipal& principal) {
             return principal.id.is_nil() || wanted->contains(principal.id);
           });
  });
  sort_by_key(records);
  return records;
}

}  // namespace merlon::access
