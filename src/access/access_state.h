// What Access keeps in memory: built-in roles, custom roles in the form they were last read, and the index.
//
// The rule of the index: it answers a question only when the mark that the question's own snapshot or
// transaction reads is the mark of the index. So no server can answer from what another has changed, a
// transaction sees its own changes, and nothing that was not committed is ever kept: the index is only
// brought forward by snapshots, never by transactions. In every other case check_afresh() answers.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "access/builtin_roles.h"
#include "access/hierarchy.h"
#include "access/index.h"

namespace merlon::access {

struct Access::State {
  State(BuiltinRoles roles, const TenantId& tenant, const Clock& clock, Random& random)
      : builtin(std::move(roles)), hierarchy(tenant, clock, random) {}

  // A custom role compiled from exactly this row. The row's text is compared, so a change in the store, or a
  // read of an older snapshot, never meets another version's permissions.
  Result<std::shared_ptr<const CompiledRole>> compile_row(const store::Row& row);

  Result<std::shared_ptr<const std::vector<RoleDefinition>>> custom_roles(store::Reader& reader,
                                                                          const TenantId& tenant);

  using Use = std::function<void(const Asked&, const Verdict&)>;
  // Nothing when the index is not at `mark`. `use` runs while the verdict's pointers are good.
  std::optional<bool> ask_index(const std::string& mark, const Question& question, const ScopePath& scope,
                                const Uuid& principal, Timestamp now, const Use& use);

  const BuiltinRoles builtin;
  Hierarchy hierarchy;

  std::mutex refreshing;  // taken first
  std::shared_mutex index_mutex;
  std::unique_ptr<Index> index;  // null before the first snapshot
  std::string index_mark;

  // Where the log of changes stands in this snapshot or transaction.
  Result<std::string> mark_of(store::Reader& reader, const TenantId& tenant);

 private:
  struct Kept {
    std::string body;
    std::shared_ptr<const CompiledRole> role;
  };
  std::mutex mutex_;
  std::optional<uint64_t>
      marked_state_;  // of the log's table (store.h, state_mark()), when it stood at mark_
  std::string mark_;
  std::map<std::string, Kept> kept_;                           // by role id
  std::shared_ptr<const std::vector<RoleDefinition>> listed_;  // when their table's state_mark() was:
  uint64_t listed_mark_ = 0;
};

}  // namespace merlon::access
