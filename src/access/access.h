// Azure role-based access control: role definitions, role assignments, deny assignments, and the decision. Permission is
// never assumed: nothing that allows means no.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "identity/directory.h"
#include "identity/principal.h"
#include "store/table.h"

namespace merlon::access {

const std::vector<store::TableSpec>& tables();

struct Permission {
  std::vector<std::string> actions, not_actions, data_actions, not_data_actions;
  std::string condition;          // Azure ABAC text of the role itself, may be empty
};

struct RoleDefinition {
  Uuid id;
  std::string name;
  std::string description;
  bool built_in = false;
  std::vector<Permission> permissions;
  std::vector<std::string> assignable_scopes;
  Timestamp created, updated;
  std::string created_by, updated_by;
  static const store::TableSpec& table();  // custom roles only; built-in ones are compiled in
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<RoleDefinition> from_json(const JsonObject& json);
};

struct RoleAssignment {
  Uuid id;
  std::string scope;               // as given; compared lower-case; "/" for the root
  Uuid role_definition_id;
  Uuid principal_id;
  std::string principal_type;      // "User", "Group", "ServicePrincipal"
  std::string description;
  std::string condition, condition_version;
  Timestamp created, updated;
  std::string created_by, updated_by;
  static const store::TableSpec& table();
  std::string key() const;         // lower-case scope + '\n' + id
  std::vector<std::optional<std::string>> index_values() const;  // by principal, by role
  JsonObject to_json() const;
  static Result<RoleAssignment> from_json(const JsonObject& json);
};

enum class ActionKind { control, data };

struct Question {
  std::string action;   // "Microsoft.Network/networkSecurityGroups/write"
  std::string scope;    // a resource id, resource group, subscription, or "/"
  ActionKind kind = ActionKind::control;
};

// Why: for `merlon role why`, for the ledger and for the 403 text.
struct Decision {
  bool allowed = false;
  std::string assignment_id;        // full id of the deciding assignment (allowed), or of the deny assignment
  std::string role_definition_id;
  std::string role_name;
  std::string matched_action;       // the pattern that matched: "*/read"
  std::string through_group;        // group object id when the assignment is a group's
  std::string reason;               // one sentence for people, also when denied
};

class Access {
 public:
  explicit Access(identity::Directory& directory, const Clock& clock);

  Result<Decision> check(store::Reader& reader, const identity::Principal& principal, const Question& question);
  // The caller's permissions at a scope, for Microsoft.Authorization/permissions.
  Result<std::vector<Permission>> permissions(store::Reader& reader, const identity::Principal& principal, std::string_view scope);

  // Built-in and custom. Names compare without case.
  Result<std::optional<RoleDefinition>> role(store::Reader& reader, const Uuid& id);
  Result<std::optional<RoleDefinition>> role_by_name(store::Reader& reader, std::string_view name);
  Result<std::vector<RoleDefinition>> roles(store::Reader& reader);

  // Rules of creation (rbac.md): principal exists (unless its type is given), role exists, scope is well formed, no equal
  // assignment (RoleAssignmentExists), role, principal and scope never change.
  Result<RoleAssignment> assign(store::Transaction& tx, RoleAssignment assignment);
  Result<std::optional<RoleAssignment>> unassign(store::Transaction& tx, std::string_view scope, const Uuid& id);
  Result<std::optional<RoleAssignment>> assignment(store::Reader& reader, std::string_view scope, const Uuid& id);
  enum class Reach { at_scope, at_and_above, at_and_below, all };
  Result<std::vector<RoleAssignment>> assignments(store::Reader& reader, std::string_view scope, Reach reach);
  // When a scope is deleted its assignments go too.
  Result<void> forget_scope(store::Transaction& tx, std::string_view scope);

 private:
  identity::Directory& directory_;
  const Clock& clock_;
};

// `*` matches any run of characters, '/' included; case does not count (rbac.md, Evaluation 5).
bool action_matches(std::string_view pattern, std::string_view action);
// "/a/b/c" → "/a/b/c", its ancestors, management groups, "/".
std::vector<std::string> scope_and_ancestors(std::string_view scope);

}  // namespace merlon::access
