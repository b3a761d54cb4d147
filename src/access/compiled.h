// Roles, assignments and deny assignments in the form that decisions are made on: patterns arranged,
// conditions parsed, scopes normal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "access/access.h"
#include "access/condition.h"
#include "access/pattern_set.h"

namespace merlon::access {

struct CompiledCondition {
  std::string text;
  std::optional<Condition> parsed;  // none: it could not be read, and never holds
};
// Null for no condition.
using ConditionPtr = std::shared_ptr<const CompiledCondition>;
ConditionPtr compile_condition(const std::string& text);

struct CompiledPermission {
  PatternSet actions, not_actions, data_actions, not_data_actions;
  ConditionPtr condition;
};

struct CompiledRole {
  RoleDefinition definition;
  std::vector<CompiledPermission> permissions;  // in the order of the definition's
};

struct CompiledGrant {
  Uuid id;
  std::string scope;  // as given
  std::string normal_scope;
  Uuid principal_id;
  Uuid role_id;
  std::shared_ptr<const CompiledRole> role;  // null: there is no such role any more, and it grants nothing
  ConditionPtr condition;
};

struct CompiledDenial {
  Uuid id;
  std::string name;
  std::string scope;  // as given
  std::string normal_scope;
  std::vector<CompiledPermission> permissions;
  bool do_not_apply_to_child_scopes = false;
  std::vector<DenyPrincipal> principals, exclude_principals;
  ConditionPtr condition;
};

std::vector<CompiledPermission> compile(const std::vector<Permission>& permissions);
CompiledRole compile(RoleDefinition definition);
// Nothing for a row whose scope is no scope, which therefore reaches nothing.
std::optional<CompiledGrant> compile(const RoleAssignment& assignment,
                                     std::shared_ptr<const CompiledRole> role);
std::optional<CompiledDenial> compile(const DenyAssignment& denial);

}  // namespace merlon::access
