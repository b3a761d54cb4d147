// A page of the ledger for one request, which looks at no more than a bounded number of entries.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "resource/core.h"

namespace merlon::resource {

struct LedgerWalk {
  ledger::Filter filter;
  std::optional<uint64_t> after;  // the entry at which the page before ended
  size_t top = 0;
  bool descending = true;
  std::function<bool(const ledger::RecordedEntry&)> wanted{};  // what the filter cannot say; optional
};

struct LedgerPage {
  std::vector<ledger::RecordedEntry> entries;
  std::optional<uint64_t> next;  // where to go on; nothing at the end
};

// Short, even empty, with a place to go on, where little fits. A descending walk ends where everything is
// older than the filter's beginning.
Result<LedgerPage> walk_ledger(const Core& core, store::Reader& reader, const LedgerWalk& walk);

}  // namespace merlon::resource
