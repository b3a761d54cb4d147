// Reads what the index is made of, from one snapshot.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "access/index.h"

namespace merlon::access {

class IndexSource {
 public:
  using RoleOf = std::function<Result<std::shared_ptr<const CompiledRole>>(const Uuid&)>;
  IndexSource(store::Reader& reader, const TenantId& tenant, const Hierarchy& hierarchy, RoleOf role_of)
      : reader_(reader), tenant_(tenant), hierarchy_(hierarchy), role_of_(std::move(role_of)) {}

  Result<IndexChanges> everything();
  // What the texts of identity::decision_changes() name, as it is now: "member/{id}", "assignment/{key}",
  // "denial/{key}", "role/{id}", "hierarchy".
  Result<IndexChanges> named(const std::vector<std::string>& what);

 private:
  Result<void> add(IndexChanges& changes, std::string_view kind, std::string_view rest);
  Result<std::optional<CompiledGrant>> grant_of(const RoleAssignment& assignment);

  store::Reader& reader_;
  const TenantId& tenant_;
  const Hierarchy& hierarchy_;
  RoleOf role_of_;
  std::map<Uuid, std::shared_ptr<const CompiledRole>> roles_;
  std::map<std::string, ConditionPtr> conditions_;  // many assignments share one text
};

// The words for identity::decision_changes().
std::string assignment_change(const std::string& key);
std::string denial_change(const std::string& key);
std::string role_change(const Uuid& id);

}  // namespace merlon::access
