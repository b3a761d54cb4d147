// Access over the store: gathers the facts that a question needs and lets decide() answer.
#include "access/access.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "access/access_state.h"
#include "access/builtin_roles_data.h"
#include "access/index_source.h"
#include "base/text.h"
#include "identity/membership.h"

namespace merlon::access {
namespace {

constexpr size_t kKeptRolesMax = 1024;
constexpr size_t kListedBytesMax = size_t{16} * 1024 * 1024;  // of their rows

// Read once for the process: tests and the simulator make thousands of these.
const BuiltinRoles& embedded_roles() {
  static const BuiltinRoles kRoles = [] {
    auto roles = BuiltinRoles::parse(builtin_roles_json());
    MERLON_CHECK(roles.has_value());
    return *std::move(roles);
  }();
  return kRoles;
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

// Decoded once for each state of the table (decision 0025).
Result<std::shared_ptr<const std::vector<RoleDefinition>>> Access::State::custom_roles(
    store::Reader& reader, const TenantId& tenant) {
  const auto mark = reader.state_mark({&RoleDefinition::table().name, 1});
  if (mark) {
    const std::lock_guard lock(mutex_);
    if (listed_ && listed_mark_ == *mark) return listed_;
  }
  std::vector<RoleDefinition> roles;
  size_t bytes = 0;
  store::Range range{.prefix = {}, .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(RoleDefinition::table(), tenant, range));
    for (const store::Row& row : rows) {
      roles.push_back(TRY(store::decode<RoleDefinition>(row)));
      bytes += row.body.size();
    }
    if (rows.size() < range.limit) break;
    range.after = rows.back().key;
  }
  auto listed = std::make_shared<const std::vector<RoleDefinition>>(std::move(roles));
  if (!mark || bytes > kListedBytesMax) return listed;
  const std::lock_guard lock(mutex_);
  listed_ = listed;
  listed_mark_ = *mark;
  return listed;
}

std::optional<bool> Access::State::ask_index(const std::string& mark, const Question& question,
                                             const ScopePath& scope, const Uuid& principal, Timestamp now,
                                             const Use& use) {
  const std::shared_lock lock(index_mutex);
  if (!index || mark.empty() || index_mark != mark) return std::nullopt;
  return index->judge(question, scope, principal, now, use).allowed();
}

Access::Access(identity::Directory& directory, const Clock& clock, Random& random)
    : directory_(directory),
      clock_(clock),
      random_(random),
      state_(std::make_unique<State>(embedded_roles(), directory.tenant(), clock, random)) {}

Access::~Access() = default;

Hierarchy& Access::hierarchy() { return state_->hierarchy; }

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

Result<std::vector<std::string>> Access::scopes_around(store::Reader& reader, std::string_view scope) {
  std::vector<std::string> scopes = scope_and_ancestors(scope);
  if (scopes.size() < 2) return scopes;
  for (std::string& group : TRY(state_->hierarchy.scopes_above(reader, scopes.front())))
    scopes.insert(scopes.end() - 1, std::move(group));
  return scopes;
}

// A row of another scope is passed over by its key alone, unread: a principal may hold thousands of
// assignments.
Result<std::vector<CompiledGrant>> Access::grants_at(store::Reader& reader,
                                                     const std::vector<Uuid>& principals,
                                                     const std::vector<std::string>& scopes) {
  std::vector<CompiledGrant> grants;
  for (const Uuid& principal : principals) {
    const auto rows =
        TRY(reader.find(RoleAssignment::table(), directory_.tenant(), "principal", principal.text()));
    for (const store::Row& row : rows) {
      if (std::ranges::find(scopes, scope_of_key(row.key)) == scopes.end()) continue;
      const auto assignment = TRY(store::decode<RoleAssignment>(row));
      auto grant = compile(assignment, TRY(compiled_role(reader, assignment.role_definition_id)));
      if (grant) grants.push_back(*std::move(grant));
    }
  }
  return grants;
}

Result<bool> Access::bring_index_to(store::Reader& reader, const std::string& mark) {
  if (mark.empty() || dynamic_cast<store::Transaction*>(&reader) != nullptr) return false;
  // One brings it forward; nobody waits for that.
  const std::unique_lock refreshing(state_->refreshing, std::try_to_lock);
  if (!refreshing.owns_lock()) return false;
  const std::string& at = state_->index_mark;  // changes under `refreshing` alone
  if (at == mark) return true;
  if (store::ChangeLog::is_before(mark, at)) return false;  // an older snapshot, still in use
  const auto what = at.empty() ? std::optional<std::vector<std::string>>()
                               : TRY(identity::decision_changes().since(reader, directory_.tenant(), at));
  IndexSource source(reader, directory_.tenant(), state_->hierarchy,
                     [&](const Uuid& id) { return compiled_role(reader, id); });
  if (what) {
    IndexChanges changes = TRY(source.named(*what));
    const std::unique_lock lock(state_->index_mutex);
    state_->index->apply(std::move(changes));
    state_->index_mark = mark;
    return true;
  }
  auto fresh = std::make_unique<Index>(state_->hierarchy.root());
  fresh->apply(TRY(source.everything()));
  const std::unique_lock lock(state_->index_mutex);
  state_->index = std::move(fresh);
  state_->index_mark = mark;
  return true;
}

Result<std::string> Access::State::mark_of(store::Reader& reader, const TenantId& tenant) {
  static const std::vector<std::string> kTables{identity::decision_changes().table().name};
  const auto state = reader.state_mark(kTables);
  if (state) {
    const std::lock_guard lock(mutex_);
    if (marked_state_ == state) return mark_;
  }
  std::string mark = TRY(identity::decision_changes().mark(reader, tenant));
  if (state) {
    const std::lock_guard lock(mutex_);
    marked_state_ = state;
    mark_ = mark;
  }
  return mark;
}

Result<Access::View> Access::view(store::Reader& reader) {
  return View(*this, reader, TRY(state_->mark_of(reader, directory_.tenant())));
}

Result<bool> Access::answers_at_once(store::Reader& reader) {
  const std::string mark = TRY(state_->mark_of(reader, directory_.tenant()));
  const std::shared_lock lock(state_->index_mutex);
  return state_->index && !mark.empty() && state_->index_mark == mark;
}

Result<Decision> Access::check(store::Reader& reader, const identity::Principal& principal,
                               const Question& question) {
  return TRY(view(reader)).check(principal, question);
}

Result<Decision> Access::View::check(const identity::Principal& principal, const Question& question) const {
  const auto scope = ScopePath::parse(question.scope);
  if (!scope || !refusal_of(question, principal.object_id).empty())
    return access_.check_afresh(reader_, principal, question);
  Decision decision;
  const State::Use use = [&decision](const Asked& asked, const Verdict& verdict) {
    decision = describe(asked, verdict);
  };
  const Timestamp now = access_.clock_.now();
  const auto ask = [&] {
    return access_.state_->ask_index(mark_, question, *scope, principal.object_id, now, use).has_value();
  };
  if (ask()) return decision;
  if (TRY(access_.bring_index_to(reader_, mark_)) && ask()) return decision;
  return access_.check_afresh(reader_, principal, question);
}

Result<bool> Access::View::allows(const identity::Principal& principal, const Question& question) const {
  const auto scope = ScopePath::parse(question.scope);
  if (!scope || !refusal_of(question, principal.object_id).empty()) return false;
  const auto allowed =
      access_.state_->ask_index(mark_, question, *scope, principal.object_id, access_.clock_.now(), {});
  return allowed ? *allowed : TRY(check(principal, question)).allowed;
}

Result<Decision> Access::check_afresh(store::Reader& reader, const identity::Principal& principal,
                                      const Question& question) {
  const std::vector<std::string> scopes = TRY(scopes_around(reader, question.scope));
  const std::vector<Uuid> ids = TRY(principal_and_groups(reader, principal.object_id));
  std::vector<CompiledDenial> denials;
  for (const std::string& scope : scopes)
    for (const auto& denial : TRY(store::scan_all<DenyAssignment>(reader, directory_.tenant(), scope + "\n")))
      if (auto compiled = compile(denial)) denials.push_back(*std::move(compiled));
  const std::vector<CompiledGrant> grants = TRY(grants_at(reader, ids, scopes));
  return decide(question, {.object_id = principal.object_id,
                           .groups = std::span(ids).subspan(1),
                           .scopes = scopes,
                           .denials = denials,
                           .grants = grants,
                           .now = clock_.now()});
}

Result<std::vector<Permission>> Access::permissions(store::Reader& reader,
                                                    const identity::Principal& principal,
                                                    std::string_view scope) {
  std::vector<Permission> result;
  std::set<std::string> seen;
  const std::vector<std::string> scopes = TRY(scopes_around(reader, scope));
  const std::vector<Uuid> ids = TRY(principal_and_groups(reader, principal.object_id));
  for (const CompiledGrant& grant : TRY(grants_at(reader, ids, scopes))) {
    const std::string condition = grant.condition ? grant.condition->text : std::string();
    if (!grant.role || !seen.insert(grant.role_id.text() + condition).second) continue;
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
  const auto custom = TRY(state_->custom_roles(reader, directory_.tenant()));
  result.insert(result.end(), custom->begin(), custom->end());
  return result;
}

}  // namespace merlon::access
