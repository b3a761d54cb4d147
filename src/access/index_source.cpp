// From rows to what the index keeps.
#include "access/index_source.h"

#include "identity/membership.h"

namespace merlon::access {
namespace {

// Of "{scope}\n{id}".
Result<Uuid> id_of_key(std::string_view key) {
  const size_t end = key.rfind('\n');
  const auto id = Uuid::parse(end == std::string_view::npos ? key : key.substr(end + 1));
  if (!id) return internal_error("the change log names an assignment without an id");
  return *id;
}

Result<Uuid> require_id(std::string_view text) {
  const auto id = Uuid::parse(text);
  if (!id) return internal_error("the change log names something without an id");
  return *id;
}

}  // namespace

std::string assignment_change(const std::string& key) { return "assignment/" + key; }
std::string denial_change(const std::string& key) { return "denial/" + key; }
std::string role_change(const Uuid& id) { return "role/" + id.text(); }

Result<std::optional<CompiledGrant>> IndexSource::grant_of(const RoleAssignment& assignment) {
  auto role = roles_.find(assignment.role_definition_id);
  if (role == roles_.end())
    role = roles_.emplace(assignment.role_definition_id, TRY(role_of_(assignment.role_definition_id))).first;
  auto grant = compile(assignment, role->second);
  if (grant && grant->condition)
    grant->condition = conditions_.emplace(assignment.condition, grant->condition).first->second;
  return grant;
}

Result<IndexChanges> IndexSource::everything() {
  IndexChanges changes;
  store::Range range{.prefix = {}, .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader_.scan(RoleAssignment::table(), tenant_, range));
    for (const store::Row& row : rows) {
      const auto assignment = TRY(store::decode<RoleAssignment>(row));
      changes.assignments.push_back({assignment.id, TRY(grant_of(assignment))});
    }
    if (rows.size() < range.limit) break;
    range.after = rows.back().key;
  }
  for (const auto& denial : TRY(store::scan_all<DenyAssignment>(reader_, tenant_))) {
    auto compiled = compile(denial);
    if (compiled) {
      std::string scope = compiled->normal_scope;
      changes.denials.push_back({std::move(scope), denial.id, std::move(compiled)});
    }
  }
  std::map<Uuid, std::vector<Uuid>> groups;
  for (auto& [group, member] : TRY(identity::all_memberships(reader_, tenant_)))
    groups[member].push_back(std::move(group));
  for (auto& [member, of] : groups) changes.memberships.push_back({member, std::move(of)});
  changes.hierarchy = TRY(hierarchy_.facts(reader_));
  return changes;
}

Result<void> IndexSource::add(IndexChanges& changes, std::string_view kind, std::string_view rest) {
  if (kind == "assignment") {
    const Uuid id = TRY(id_of_key(rest));
    const auto assignment = TRY(store::get<RoleAssignment>(reader_, tenant_, rest));
    changes.assignments.push_back({id, assignment ? TRY(grant_of(*assignment)) : std::nullopt});
  } else if (kind == "denial") {
    const Uuid id = TRY(id_of_key(rest));
    const auto denial = TRY(store::get<DenyAssignment>(reader_, tenant_, rest));
    changes.denials.push_back(
        {std::string(rest.substr(0, rest.rfind('\n'))), id, denial ? compile(*denial) : std::nullopt});
  } else if (kind == "role") {
    const Uuid id = TRY(require_id(rest));
    changes.roles.push_back({id, TRY(role_of_(id))});
  } else if (kind == "member") {
    const Uuid id = TRY(require_id(rest));
    changes.memberships.push_back(
        {id, TRY(identity::relation_owners(reader_, identity::membership_table(), tenant_, id))});
  } else if (kind == "hierarchy") {
    changes.hierarchy = TRY(hierarchy_.facts(reader_));
  } else {
    return internal_error("the change log names a '" + std::string(kind) + "'");
  }
  return {};
}

Result<IndexChanges> IndexSource::named(const std::vector<std::string>& what) {
  IndexChanges changes;
  for (const std::string& text : std::set<std::string>(what.begin(), what.end())) {
    const size_t slash = text.find('/');
    const std::string_view kind = std::string_view(text).substr(0, slash);
    TRY(add(changes, kind, slash == std::string::npos ? "" : std::string_view(text).substr(slash + 1)));
  }
  return changes;
}

}  // namespace merlon::access
