// Access over the store: gathers the facts that a question needs and lets decide() answer.
#include "access/access.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "access/access_state.h"
#include "access/builtin_roles_data.h"
#include "access/scope.h"
#include "base/text.h"

namespace merlon::access {
namespace {

constexpr size_t kKeptRolesMax = 1024;

BuiltinRoles embedded_roles() {
  auto roles = BuiltinRoles::parse(builtin_roles_json());
  MERLON_CHECK(roles.has_value());
  return *std::move(roles);
}

std::string_view scope_of_key(std::string_view key) { return key.substr(0, key.find('\n')); }

}  // namespace

Result<std::shared_ptr<const CompiledRole>> Access::State::compile_row(const store::Row& row) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(row.key);
    if (found != kept_.end() && found->second.body == row.body) return found->second.role;
  }
  auto role = std::make_shared<const CompiledRole>(compile(TRY(store::decode<RoleDefinition>(row))));
  const std::lock_guard lock(mutex_);
  if (kept_.size() >= kKeptRolesMax) kept_.clear();
  kept_.insert_or_assign(row.key, Kept{row.body, role});
  return role;
}

Access::Access(identity::Directory& directory, const Clock& clock)
    : directory_(directory), clock_(clock), state_(std::make_unique<State>(embedded_roles())) {}

Access::~Access() = default;

Result<std::shared_ptr<const CompiledRole>> Access::compiled_role(store::Reader& reader, const Uuid& id) {
  if (auto built_in = state_->builtin.by_id(id)) return built_in;
  const auto row = TRY(reader.get(RoleDefinition::table(), directory_.tenant(), id.text()));
  if (!row) return nullptr;
  return state_->compile_row(*row);
}

Result<std::vector<Uuid>> Access::principal_and_groups(store::Reader& reader, const Uuid& id) {
  std::vector<Uuid> ids = {id};
  for (Uuid& group : TRY(directory_.transitive_groups(reader, id))) ids.push_back(std::move(group));
  return ids;
}

// A row of another scope is passed over by its key alone, unread: a principal may hold thousands of
// assignments.
Result<std::vector<Grant>> Access::grants_at(store::Reader& reader, const std::vector<Uuid>& principals,
                                             std::span<const std::string> scopes) {
  std::vector<Grant> grants;
  for (const Uuid& principal : principals) {
    const auto rows =
        TRY(reader.find(RoleAssignment::table(), directory_.tenant(), "principal", principal.text()));
    for (const store::Row& row : rows) {
      if (std::find(scopes.begin(), scopes.end(), scope_of_key(row.key)) == scopes.end()) continue;
      Grant grant{.assignment = TRY(store::decode<RoleAssignment>(row)), .role = nullptr};
      grant.role = TRY(compiled_role(reader, grant.assignment.role_definition_id));
      grants.push_back(std::move(grant));
    }
  }
  return grants;
}

Result<Decision> Access::check(store::Reader& reader, const identity::Principal& principal,
                               const Question& question) {
  const std::vector<std::string> scopes = scope_and_ancestors(question.scope);
  const std::vector<Uuid> ids = TRY(principal_and_groups(reader, principal.object_id));
  std::vector<DenyAssignment> denials;
  for (const std::string& scope : scopes)
    std::ranges::move(TRY(store::scan_all<DenyAssignment>(reader, directory_.tenant(), scope + "\n")),
                      std::back_inserter(denials));
  const std::vector<Grant> grants = TRY(grants_at(reader, ids, scopes));
  return decide(question, {.object_id = principal.object_id,
                           .groups = std::span(ids).subspan(1),
                           .denials = denials,
                           .grants = grants,
                           .now = clock_.now()});
}

Result<std::vector<Permission>> Access::permissions(store::Reader& reader,
                                                    const identity::Principal& principal,
                                                    std::string_view scope) {
  std::vector<Permission> result;
  std::set<std::string> seen;
  const std::vector<std::string> scopes = scope_and_ancestors(scope);
  const std::vector<Uuid> ids = TRY(principal_and_groups(reader, principal.object_id));
  for (const Grant& grant : TRY(grants_at(reader, ids, scopes))) {
    const std::string& condition = grant.assignment.condition;
    if (!grant.role || !seen.insert(grant.assignment.role_definition_id.text() + condition).second) continue;
    for (Permission permission : grant.role->definition.permissions) {
      if (permission.condition.empty())
        permission.condition = condition;
      else if (!condition.empty())
        permission.condition = "(" + permission.condition + ") AND (" + condition + ")";
      result.push_back(std::move(permission));
    }
  }
  return result;
}

Result<std::optional<RoleDefinition>> Access::role(store::Reader& reader, const Uuid& id) {
  const auto compiled = TRY(compiled_role(reader, id));
  if (!compiled) return std::nullopt;
  return compiled->definition;
}

Result<std::optional<RoleDefinition>> Access::role_by_name(store::Reader& reader, std::string_view name) {
  if (const auto built_in = state_->builtin.by_name(name)) return built_in->definition;
  const auto found = TRY(store::find<RoleDefinition>(reader, directory_.tenant(), "name", ascii_lower(name)));
  if (found.empty()) return std::nullopt;
  return found.front();
}

Result<std::vector<RoleDefinition>> Access::roles(store::Reader& reader) {
  std::vector<RoleDefinition> result;
  for (const auto& built_in : state_->builtin.all()) result.push_back(built_in->definition);
  std::ranges::move(TRY(store::scan_all<RoleDefinition>(reader, directory_.tenant())),
                    std::back_inserter(result));
  return result;
}

}  // namespace merlon::access
