// What Access keeps in memory: built-in roles, and custom roles in the form they were last read.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "access/builtin_roles.h"

namespace merlon::access {

struct Access::State {
  explicit State(BuiltinRoles roles) : builtin(std::move(roles)) {}

  // A custom role compiled from exactly this row. The row's text is compared, so a change in the store, or a
  // read of an older snapshot, never meets another version's permissions.
  Result<std::shared_ptr<const CompiledRole>> compile_row(const store::Row& row);

  const BuiltinRoles builtin;

 private:
  struct Kept {
    std::string body;
    std::shared_ptr<const CompiledRole> role;
  };
  std::mutex mutex_;
  std::map<std::string, Kept> kept_;  // by role id
};

}  // namespace merlon::access
