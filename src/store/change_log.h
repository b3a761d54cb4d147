// A numbered record of what changed, written in the same transaction as the change. Whoever keeps rows in
// memory in a form of its own learns from it, inside any snapshot, whether that form is still exactly true,
// and if not, what to read again. With several servers on one database it is the only way to know.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "store/store.h"

namespace merlon::store {

class ChangeLog {
 public:
  // The newest `kept` notes stay; who is further behind than that reads everything again.
  ChangeLog(std::string table_name, uint64_t kept) : table_{std::move(table_name), {}}, kept_(kept) {}
  const TableSpec& table() const { return table_; }

  // `what` is in the caller's own words. Each note has a random part: a number that was rolled back, or that
  // a restored database gives a second time, never looks like the first.
  Result<void> note(Transaction& tx, const TenantId& tenant, Random& random,
                    const std::vector<std::string>& what) const;

  // Where the log stands in this snapshot. Equal marks mean equal content; empty before the first note.
  Result<std::string> mark(Reader& reader, const TenantId& tenant) const;
  // All that was noted after `old_mark`, oldest first. Nothing when the log does not reach back to it or
  // never held it.
  Result<std::optional<std::vector<std::string>>> since(Reader& reader, const TenantId& tenant,
                                                        std::string_view old_mark) const;
  // Whether a snapshot with mark `a` is older than one with mark `b` of the same history.
  static bool is_before(std::string_view a, std::string_view b);

 private:
  TableSpec table_;
  uint64_t kept_;
};

}  // namespace merlon::store
