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

// What can be assigned at the scope; with `and_below` also what can be assigned only inside it.
Result<bool> is_listed_at(Access& access, store::Reader& reader, const RoleDefinition& role,
                          const std::string& normal, const std::vector<std::string>& around, bool and_below) {
  if (role.built_in) return true;
  for (const std::string& assignable : role.assignable_scopes) {
    const auto outer = normal_scope(assignable);
    if (!outer) continue;
    if (std::ranges::find(around, *outer) != around.end()) return true;
    if (!and_below) continue;
    const auto around_it = TRY(access.scopes_around(reader, *outer));
    if (std::ranges::find(around_it, normal) != around_it.end()) return true;
  }
  return false;
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
  const std::vector<std::string> around = TRY(access.scopes_around(reader, normal));
  std::vector<RoleDefinition> listed;
  for (RoleDefinition& role : roles) {
    if (filter.role_type && (*filter.role_type == "BuiltInRole") != role.built_in) continue;
    if (TRY(is_listed_at(access, reader, role, normal, around, filter.at_scope_and_below)))
      listed.push_back(std::move(role));
  }
  return listed;
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
