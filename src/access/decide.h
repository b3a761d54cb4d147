// The decision itself, apart from where its facts are kept (rbac.md, "Evaluation algorithm").
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "access/access.h"
#include "access/condition.h"
#include "access/pattern.h"

namespace merlon::access {

struct CompiledPermission {
  std::vector<Pattern> actions, not_actions, data_actions, not_data_actions;
  bool conditional = false;
  std::optional<Condition> condition;  // none although conditional: it could not be read, and never holds
};

struct CompiledRole {
  RoleDefinition definition;
  std::vector<CompiledPermission> permissions;
};

std::vector<CompiledPermission> compile(const std::vector<Permission>& permissions);
CompiledRole compile(RoleDefinition definition);

struct Grant {
  RoleAssignment assignment;
  std::shared_ptr<const CompiledRole> role;
};

struct Facts {
  Uuid object_id;
  std::span<const Uuid> groups;  // transitive
  std::span<const DenyAssignment> denials;
  std::span<const Grant> grants;
  Timestamp now;
};

// Looks at scopes and principals itself: facts that do not concern the question change nothing.
Decision decide(const Question& question, const Facts& facts);

// "{scope}/providers/Microsoft.Authorization/{type}/{id}", with nothing before "/providers" for the root.
std::string authorization_id(std::string_view scope, std::string_view type, const Uuid& id);

}  // namespace merlon::access
