// From what is stored to what decides.
#include "access/compiled.h"

#include "access/scope.h"

namespace merlon::access {

ConditionPtr compile_condition(const std::string& text) {
  if (text.empty()) return nullptr;
  CompiledCondition condition{.text = text, .parsed = {}};
  if (auto parsed = Condition::parse(text)) condition.parsed = *std::move(parsed);
  return std::make_shared<const CompiledCondition>(std::move(condition));
}

std::vector<CompiledPermission> compile(const std::vector<Permission>& permissions) {
  std::vector<CompiledPermission> out;
  out.reserve(permissions.size());
  for (const Permission& permission : permissions)
    out.push_back({.actions = PatternSet(permission.actions),
                   .not_actions = PatternSet(permission.not_actions),
                   .data_actions = PatternSet(permission.data_actions),
                   .not_data_actions = PatternSet(permission.not_data_actions),
                   .condition = compile_condition(permission.condition)});
  return out;
}

CompiledRole compile(RoleDefinition definition) {
  CompiledRole role;
  role.permissions = compile(definition.permissions);
  role.definition = std::move(definition);
  return role;
}

std::optional<CompiledGrant> compile(const RoleAssignment& assignment,
                                     std::shared_ptr<const CompiledRole> role) {
  auto scope = normal_scope(assignment.scope);
  if (!scope) return std::nullopt;
  return CompiledGrant{.id = assignment.id,
                       .scope = assignment.scope,
                       .normal_scope = *std::move(scope),
                       .principal_id = assignment.principal_id,
                       .role_id = assignment.role_definition_id,
                       .role = std::move(role),
                       .condition = compile_condition(assignment.condition)};
}

std::optional<CompiledDenial> compile(const DenyAssignment& denial) {
  auto scope = normal_scope(denial.scope);
  if (!scope) return std::nullopt;
  return CompiledDenial{.id = denial.id,
                        .name = denial.name,
                        .scope = denial.scope,
                        .normal_scope = *std::move(scope),
                        .permissions = compile(denial.permissions),
                        .do_not_apply_to_child_scopes = denial.do_not_apply_to_child_scopes,
                        .principals = denial.principals,
                        .exclude_principals = denial.exclude_principals,
                        .condition = compile_condition(denial.condition)};
}

}  // namespace merlon::access
