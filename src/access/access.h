// Azure role-based access control: role definitions, role assignments, deny assignments, and the decision.
// Permission is never assumed: nothing that allows means no.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "access/attributes.h"
#include "base/clock.h"
#include "base/random.h"
#include "identity/directory.h"
#include "identity/principal.h"
#include "store/table.h"

namespace merlon::access {

const std::vector<store::TableSpec>& tables();

struct Permission {
  std::vector<std::string> actions, not_actions, data_actions, not_data_actions;
  std::string condition;  // Azure ABAC text of the role itself, may be empty
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
  std::string scope;  // as given; compared lower-case; "/" for the root
  Uuid role_definition_id;
  Uuid principal_id;
  std::string principal_type;  // "User", "Group", "ServicePrincipal"
  std::string description;
  std::string condition, condition_version;
  Timestamp created, updated;
  std::string created_by, updated_by;
  static const store::TableSpec& table();
  std::string key() const;                                       // lower-case scope + '\n' + id
  std::vector<std::optional<std::string>> index_values() const;  // by principal, by role, by name (the id)
  JsonObject to_json() const;
  static Result<RoleAssignment> from_json(const JsonObject& json);
};

// A principal of a deny assignment. The nil id with type "SystemDefined" is everyone (deny-assignments.md).
struct DenyPrincipal {
  Uuid id;
  std::string type;
};

// What nobody but the excluded may do, whatever roles they hold. Users read these; only Merlon itself makes
// them.
struct DenyAssignment {
  Uuid id;
  std::string name;
  std::string description;
  std::string scope;
  std::vector<Permission> permissions;
  bool do_not_apply_to_child_scopes = false;
  std::vector<DenyPrincipal> principals, exclude_principals;
  bool is_system_protected = true;
  std::string condition, condition_version;
  Timestamp created, updated;
  std::string created_by, updated_by;
  static const store::TableSpec& table();
  std::string key() const;  // lower-case scope + '\n' + id
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<DenyAssignment> from_json(const JsonObject& json);
};

enum class ActionKind { control, data };

struct Question {
  std::string action;  // "Microsoft.Network/networkSecurityGroups/write"
  std::string scope;   // a resource id, resource group, subscription, or "/"
  ActionKind kind = ActionKind::control;
  // For conditions: what the caller knows of "@Request[…]", "@Resource[…]", "@Principal[…]" and
  // "@Environment[…]" (the time is added here). A condition that asks for what is not here does not grant.
  // For role assignments: assignment_attributes in wire.h.
  Attributes attributes{};
};

// Why: for `merlon role why`, checkAccess, the ledger and the 403 text. A refusal names what came nearest to
// a grant, when there is such a thing.
struct Decision {
  bool allowed = false;
  std::string assignment_id;  // full id of the deciding assignment (allowed), or of the deny assignment
  std::string nearest_assignment_id;  // of a refusal: the role assignment that came nearest
  std::string role_definition_id;     // of the deciding or nearest assignment
  std::string role_name;
  bool is_data = false;              // the role's dataActions were looked at, not its actions
  std::optional<size_t> permission;  // which of the role's (or deny assignment's) permissions
  std::string matched_action;        // the pattern in it that matched: "*/read"
  std::string left_out_by;           // the pattern of notActions that takes it away again
  std::string condition;             // that held (allowed), or that stood in the way
  std::string through_group;         // group object id when the assignment is a group's
  std::string reason;                // one sentence for people, also when denied
};

class Hierarchy;      // hierarchy.h: the management groups
struct CompiledRole;  // compiled.h
struct CompiledGrant;

class Access {
 public:
  Access(identity::Directory& directory, const Clock& clock, Random& random);
  ~Access();

  Result<Decision> check(store::Reader& reader, const identity::Principal& principal,
                         const Question& question);
  // For many questions in one snapshot or transaction, which must not change anything between them. Valid as
  // long as the reader.
  class View {
   public:
    Result<Decision> check(const identity::Principal& principal, const Question& question) const;
    Result<bool> allows(const identity::Principal& principal, const Question& question) const;

   private:
    friend class Access;
    View(Access& access, store::Reader& reader, std::string mark)
        : access_(access), reader_(reader), mark_(std::move(mark)) {}
    Access& access_;
    store::Reader& reader_;
    std::string mark_;
  };
  Result<View> view(store::Reader& reader);
  // Whether check() has all that it needs in memory: it may otherwise read every assignment that there is.
  Result<bool> answers_at_once(store::Reader& reader);
  // The same answer from the rows themselves, with nothing kept from before: what check() does in a
  // transaction that has changed something, and what tests compare it with.
  Result<Decision> check_afresh(store::Reader& reader, const identity::Principal& principal,
                                const Question& question);

  // The caller's permissions at a scope, for Microsoft.Authorization/permissions.
  Result<std::vector<Permission>> permissions(store::Reader& reader, const identity::Principal& principal,
                                              std::string_view scope);

  // Built-in and custom. Names compare without case.
  Result<std::optional<RoleDefinition>> role(store::Reader& reader, const Uuid& id);
  Result<std::optional<RoleDefinition>> role_by_name(store::Reader& reader, std::string_view name);
  Result<std::vector<RoleDefinition>> roles(store::Reader& reader);

  // Creates or replaces a custom role: name free (RoleDefinitionWithSameNameExists), patterns and conditions
  // well formed, at least one assignable scope, none the root, at most one management group. The route must
  // first check Microsoft.Authorization/roleDefinitions/write at EVERY assignable scope, old and new, or a
  // role could be spread upward.
  Result<RoleDefinition> put_role(store::Transaction& tx, RoleDefinition role);
  // Nothing when there was none; built-in roles and roles that are assigned stay
  // (RoleDefinitionHasAssignments).
  Result<std::optional<RoleDefinition>> delete_role(store::Transaction& tx, const Uuid& id);

  // The assignment with its principal's type filled in from the directory, as assign() would store it: what
  // the route needs for assignment_attributes before it asks whether the caller may assign.
  Result<RoleAssignment> complete(store::Reader& reader, RoleAssignment assignment);
  // Rules of creation (rbac.md): principal exists (unless its type is given), role exists, scope is well
  // formed, no equal assignment (RoleAssignmentExists), role, principal and scope never change.
  Result<RoleAssignment> assign(store::Transaction& tx, RoleAssignment assignment);
  Result<std::optional<RoleAssignment>> unassign(store::Transaction& tx, std::string_view scope,
                                                 const Uuid& id);
  Result<std::optional<RoleAssignment>> assignment(store::Reader& reader, std::string_view scope,
                                                   const Uuid& id);
  enum class Reach { at_scope, at_and_above, at_and_below, all };
  Result<std::vector<RoleAssignment>> assignments(store::Reader& reader, std::string_view scope, Reach reach);
  // The id and every group that holds it.
  Result<std::vector<Uuid>> principal_and_groups(store::Reader& reader, const Uuid& id);

  // Deny assignments: for Merlon's own protections, never from a request body.
  Result<DenyAssignment> deny(store::Transaction& tx, DenyAssignment assignment);
  Result<bool> undeny(store::Transaction& tx, std::string_view scope, const Uuid& id);
  Result<std::vector<DenyAssignment>> deny_assignments(store::Reader& reader, std::string_view scope,
                                                       Reach reach);

  // Management groups. Who changes the tree then asks require_assignable_below(), in the same transaction.
  Hierarchy& hierarchy();
  // The scope, those around it, the management groups above them, and "/": in lower case, nearest first.
  // Empty for text that is no scope.
  Result<std::vector<std::string>> scopes_around(store::Reader& reader, std::string_view scope);
  // 400 unless each custom role that is assigned at the scope or below it is assignable where it is: a move
  // must not part an assignment from its definition (Azure docs, management-groups/overview.md).
  Result<void> require_assignable_below(store::Reader& reader, std::string_view scope);

  // When a scope is deleted its assignments and deny assignments go too, with those inside it.
  Result<void> forget_scope(store::Transaction& tx, std::string_view scope);

 private:
  struct State;  // the built-in roles, compiled; custom roles as they were last read; the index
  Result<std::shared_ptr<const CompiledRole>> compiled_role(store::Reader& reader, const Uuid& id);
  Result<std::vector<CompiledGrant>> grants_at(store::Reader& reader, const std::vector<Uuid>& principals,
                                               const std::vector<std::string>& scopes);
  Result<bool> bring_index_to(store::Reader& reader, const std::string& mark);
  Result<std::vector<std::string>> key_prefixes(store::Reader& reader, std::string_view scope, Reach reach);
  template <store::Record T>
  Result<std::vector<T>> rows_in_reach(store::Reader& reader, std::string_view scope, Reach reach);
  Result<bool> is_assignable_at(store::Reader& reader, const RoleDefinition& role, std::string_view scope);
  Result<void> note(store::Transaction& tx, const std::vector<std::string>& what);

  identity::Directory& directory_;
  const Clock& clock_;
  Random& random_;
  std::unique_ptr<State> state_;
};

// `*` matches any run of characters, '/' included; case does not count (rbac.md, Evaluation 5).
bool action_matches(std::string_view pattern, std::string_view action);
// The same without management groups, from the text alone.
std::vector<std::string> scope_and_ancestors(std::string_view scope);

}  // namespace merlon::access
