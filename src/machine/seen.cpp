// When machines were last heard.
#include "machine/seen.h"

#include "base/time_text.h"

namespace merlon::machine {
namespace {

// Together with the longest poll well below what counts as silent (90 s).
constexpr Duration kWriteAfter = std::chrono::seconds(40);
constexpr Duration kWriteAtOnceAfter = std::chrono::seconds(60);
// A machine moves now and then; one that comes from two addresses in turn would have each poll of it
// committed.
constexpr Duration kMovesAtOnceAfter = std::chrono::seconds(60);
constexpr size_t kAtOnce = 500;

// Of a clock that was set back too.
bool is_past(Timestamp now, Timestamp then, Duration after) { return now < then || now - then >= after; }

}  // namespace

const store::TableSpec& Seen::table() {
  static const store::TableSpec spec{"machines_seen", {}};
  return spec;
}

JsonObject Seen::to_json() const {
  JsonObject json = {{"machine", machine.text()}, {"at", to_rfc3339(at)}};
  if (from) json["from"] = from->text();
  return json;
}

Result<Seen> Seen::from_json(const JsonObject& json) {
  const auto machine = Uuid::parse(TRY(require_string(json, "machine")));
  const auto at = from_rfc3339(TRY(require_string(json, "at")));
  if (!machine || !at) return internal_error("the record of when a machine was seen is malformed");
  Seen seen{.machine = *machine, .at = *at};
  if (const auto from = string_at(json, "from")) seen.from = IpAddress::parse(*from);
  return seen;
}

bool SeenBook::note(const Seen& seen) {
  const std::lock_guard lock(mutex_);
  const auto [found, is_new] = entries_.try_emplace(seen.machine);
  Entry& entry = found->second;
  entry.heard = seen.at;
  entry.from = seen.from;
  const bool is_told =
      seen.from == entry.written_from || (entry.moved && !is_past(seen.at, *entry.moved, kMovesAtOnceAfter));
  return !is_new && is_told && !is_past(seen.at, entry.written, kWriteAtOnceAfter);
}

void SeenBook::written(const Seen& seen) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[seen.machine];
  if (entry.written_from && entry.written_from != seen.from) entry.moved = seen.at;
  entry.written = seen.at;
  entry.written_from = seen.from;
  if (seen.at >= entry.heard) entry.from = seen.from;
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
    due.push_back({.machine = machine, .at = entry.heard, .from = entry.from});
    if (due.size() >= kAtOnce) break;
  }
  return due;
}

}  // namespace merlon::machine
