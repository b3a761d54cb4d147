// See table_changes.h.
#include "store/table_changes.h"

#include <algorithm>

namespace merlon::store {

void TableChanges::committed(uint32_t commit, const TableNames& changed) {
  const std::lock_guard lock(mutex_);
  newest_ = commit;
  if (!first_) first_ = commit;
  for (const std::string& table : changed) last_[table] = commit;
}

uint32_t TableChanges::newest() const {
  const std::lock_guard lock(mutex_);
  return newest_;
}

std::optional<uint64_t> TableChanges::last_change(uint32_t commit,
                                                  std::span<const std::string> tables) const {
  if (!first_) return std::nullopt;
  uint32_t last = *first_;
  for (const std::string& table : tables)
    if (const auto found = last_.find(table); found != last_.end()) last = std::max(last, found->second);
  if (last > commit) return std::nullopt;
  return last;
}

std::optional<uint64_t> TableChanges::mark(uint32_t commit, std::span<const std::string> tables) const {
  const std::lock_guard lock(mutex_);
  if (commit > newest_) return std::nullopt;
  return last_change(commit, tables);
}

std::optional<uint64_t> TableChanges::mark_beyond(const TableNames& changed,
                                                  std::span<const std::string> tables) const {
  if (std::ranges::any_of(tables, [&](const std::string& table) { return changed.contains(table); }))
    return std::nullopt;
  const std::lock_guard lock(mutex_);
  return last_change(newest_, tables);
}

}  // namespace merlon::store
