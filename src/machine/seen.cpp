// When machines were last heard.
#include "machine/seen.h"

#include "base/time_text.h"

namespace merlon::machine {
namespace {

// Together with the longest poll well below what counts as silent (90 s).
constexpr Duration kWriteAfter = std::chrono::seconds(40);
constexpr Duration kWriteAtOnceAfter = std::chrono::seconds(60);
constexpr size_t kAtOnce = 500;

// Of a clock that was set back too.
bool is_past(Timestamp now, Timestamp then, Duration after) { return now < then || now - then >= after; }

}  // namespace

const store::TableSpec& Seen::table() {
  static const store::TableSpec spec{"machines_seen", {}};
  return spec;
}

JsonObject Seen::to_json() const { return {{"machine", machine.text()}, {"at", to_rfc3339(at)}}; }

Result<Seen> Seen::from_json(const JsonObject& json) {
  const auto machine = Uuid::parse(TRY(require_string(json, "machine")));
  const auto at = from_rfc3339(TRY(require_string(json, "at")));
  if (!machine || !at) return internal_error("the record of when a machine was seen is malformed");
  return Seen{.machine = *machine, .at = *at};
}

bool SeenBook::note(const Uuid& machine, Timestamp now) {
  const std::lock_guard lock(mutex_);
  const auto [entry, is_new] = entries_.try_emplace(machine);
  entry->second.heard = now;
  return !is_new && !is_past(now, entry->second.written, kWriteAtOnceAfter);
}

void SeenBook::written(const Seen& seen) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[seen.machine];
  entry.written = seen.at;
  entry.heard = std::max(entry.heard, seen.at);
}

void SeenBook::forget(const Uuid& machine) {
  const std::lock_guard lock(mutex_);
  entries_.erase(machine);
}

std::vector<Seen> SeenBook::due(Timestamp now) const {
  const std::lock_guard lock(mutex_);
  std::vector<Seen> due;
  for (const auto& [machine, entry] : entries_) {
    if (entry.heard == entry.written || !is_past(now, entry.written, kWriteAfter)) continue;
    due.push_back({.machine = machine, .at = entry.heard});
    if (due.size() >= kAtOnce) break;
  }
  return due;
}

}  // namespace merlon::machine
