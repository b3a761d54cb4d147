// The ledger is asked for all its entries, in order, and the filter is applied here: what it would skip by
// itself would count for nothing, and one request would go through millions of entries. Only the correlation
// id has an index.
#include "resource/ledger_walk.h"

#include "base/text.h"

namespace merlon::resource {
namespace {

constexpr size_t kLookedAtMost = 5'000;
constexpr size_t kBatch = 500;
// Entries stand in the order of their commits, and their times are those of the requests.
constexpr auto kSkew = std::chrono::hours(1);

bool matches(const ledger::Entry& entry, const ledger::Filter& filter) {
  return ascii_istarts_with(entry.resource, filter.resource_prefix) &&
         ascii_istarts_with(entry.action, filter.action_prefix) &&
         (!filter.from || entry.time >= *filter.from) && (!filter.to || entry.time <= *filter.to);
}

// A whole batch, not one entry: a summary of refusals is written when its minute is over, or long after that
// when the disk was full.
bool all_before(const std::vector<ledger::RecordedEntry>& batch, Timestamp from) {
  bool any = false;
  for (const ledger::RecordedEntry& recorded : batch) {
    if (bool_at(recorded.entry.details, "summary").value_or(false)) continue;
    if (recorded.entry.time >= from - kSkew) return false;
    any = true;
  }
  return any;
}

}  // namespace

Result<LedgerPage> walk_ledger(const Core& core, store::Reader& reader, const LedgerWalk& walk) {
  ledger::Filter indexed;
  indexed.correlation_id = walk.filter.correlation_id;
  LedgerPage page;
  std::optional<uint64_t> at = walk.after;
  for (size_t looked_at = 0; looked_at < kLookedAtMost; looked_at += kBatch) {
    auto batch = TRY(core.ledger.list(reader, indexed, at, kBatch, walk.descending));
    const bool is_last = batch.size() < kBatch ||
                         (walk.descending && walk.filter.from && all_before(batch, *walk.filter.from));
    for (ledger::RecordedEntry& recorded : batch) {
      if (matches(recorded.entry, walk.filter) && (!walk.wanted || walk.wanted(recorded))) {
        if (page.entries.size() == walk.top) {
          page.next = at;
          return page;
        }
        at = recorded.index;
        page.entries.push_back(std::move(recorded));
      } else {
        at = recorded.index;
      }
    }
    if (is_last) return page;
  }
  page.next = at;
  return page;
}

}  // namespace merlon::resource
