// One counter per caller, action, decision and minute. A caller with an object id is counted by it; everyone
// else by source prefix, /24 or /64: what one attacker commonly has at hand.
#include "ledger/denial_counter.h"

#include <algorithm>

#include "base/ip.h"
#include "base/time_text.h"
#include "ledger/entry_text.h"

namespace merlon::ledger {
namespace {

constexpr size_t kSampleBytesMax = 256;
constexpr size_t kKeyBytesMax = 256;
constexpr unsigned kPrefixBitsV4 = 24;
constexpr unsigned kPrefixBitsV6 = 64;
constexpr std::string_view kOverflowAction = "Merlon.Ledger/deniedRequests/overflow/action";

// What does not parse as an address shares one counter: a spelling must not be a way to a counter of one's
// own.
std::string source_prefix(std::string_view address) {
  const auto ip = IpAddress::parse(address);
  if (!ip) return "unknown";
  const auto prefix = IpPrefix::make(*ip, ip->is_v4() ? kPrefixBitsV4 : kPrefixBitsV6);
  MERLON_CHECK(prefix.has_value());
  return prefix->text();
}

// Cut after the last '/' that both have in common; "" when they share nothing.
std::string common_folder(const std::string& a, const std::string& b) {
  if (a == b) return a;
  const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  const std::string shared(a.begin(), differ);
  const size_t slash = shared.rfind('/');
  return slash == std::string::npos ? std::string() : shared.substr(0, slash + 1);
}

JsonArray to_json(const DenialCounter::Samples& samples) {
  JsonArray array;
  for (const std::string& value : samples.values) array.push_back(Json(value));
  if (samples.more) array.push_back(Json("…"));
  return array;
}

Entry bounded_copy(const Entry& entry) {
  Entry copy;
  copy.time = entry.time;
  copy.actor = {
      bounded_text(entry.actor.kind, kKeyBytesMax), bounded_text(entry.actor.object_id, kKeyBytesMax),
      bounded_text(entry.actor.name, kKeyBytesMax), bounded_text(entry.actor.address, kKeyBytesMax)};
  copy.action = bounded_text(entry.action, kKeyBytesMax);
  copy.resource = bounded_text(entry.resource, kSampleBytesMax);
  copy.decision = entry.decision;
  copy.reason = bounded_text(entry.reason, kSampleBytesMax);
  copy.request_id = bounded_text(entry.request_id, kKeyBytesMax);
  copy.correlation_id = bounded_text(entry.correlation_id, kKeyBytesMax);
  return copy;
}

}  // namespace

void DenialCounter::Samples::add(std::string value) {
  if (value.empty() || std::find(values.begin(), values.end(), value) != values.end()) return;
  if (values.size() < kSamplesMax) {
    values.push_back(std::move(value));
  } else {
    more = true;
  }
}

void DenialCounter::Samples::add(const Samples& other) {
  for (const std::string& value : other.values) add(value);
  more = more || other.more;
}

void DenialCounter::Summary::add(const Summary& other) {
  if (count == 0) {
    *this = other;
    return;
  }
  last_time = std::max(last_time, other.last_time);
  count += other.count;
  common_resource = common_folder(common_resource, other.common_resource);
  resources.add(other.resources);
  addresses.add(other.addresses);
  reasons.add(other.reasons);
  first.time = std::min(first.time, other.first.time);
  if (overflow) return;
  first.request_id.clear();  // they named one request of many
  first.correlation_id.clear();
  if (first.reason != other.first.reason) first.reason.clear();
}

Entry DenialCounter::Summary::entry() const {
  Entry entry = first;
  entry.count = count;
  entry.resource = common_resource;
  const bool one_address = addresses.values.size() <= 1 && !addresses.more;
  if (!one_address)
    entry.actor.address = source_is_prefix ? source_prefix(first.actor.address) : std::string();
  entry.details = {{"summary", true},
                   {"firstTime", to_rfc3339(first.time)},
                   {"lastTime", to_rfc3339(last_time)},
                   {"resources", to_json(resources)},
                   {"addresses", to_json(addresses)},
                   {"reasons", to_json(reasons)}};
  if (overflow) {
    entry.details["overflow"] = true;
    entry.details["callersPerMinuteMax"] =
        static_cast<int64_t>(of_stranger ? kStrangersPerMinuteMax : kCallersPerMinuteMax);
  }
  return entry;
}

void DenialCounter::note(const Entry& entry) {
  Summary summary;
  summary.first = bounded_copy(entry);
  summary.last_time = entry.time;
  summary.count = std::max<int64_t>(1, entry.count);
  summary.common_resource = summary.first.resource;
  summary.resources.add(summary.first.resource);
  summary.addresses.add(summary.first.actor.address);
  summary.reasons.add(summary.first.reason);
  summary.source_is_prefix = summary.first.actor.object_id.empty();
  summary.of_stranger = summary.source_is_prefix;
  Key key{std::chrono::floor<std::chrono::minutes>(entry.time),
          summary.source_is_prefix ? source_prefix(entry.actor.address)
                                   : summary.first.actor.kind + "/" + summary.first.actor.object_id,
          summary.first.action, entry.decision};
  const std::lock_guard lock(mutex_);
  add_locked(summary.of_stranger ? strangers_ : known_, std::move(key), std::move(summary));
}

void DenialCounter::add_locked(Room& room, Key key, Summary summary) {
  if (const auto found = room.counts.find(key); found != room.counts.end()) {
    found->second.add(summary);
    return;
  }
  const auto minute = room.per_minute.find(key.minute);
  const size_t callers = minute == room.per_minute.end() ? 0 : minute->second;
  const bool is_full = room.counts.size() >= 2 * room.per_minute_max;
  if (summary.overflow || callers >= room.per_minute_max || is_full) {
    // One counter takes the rest, of whatever minute: minutes too could be without number.
    summary.overflow = true;
    summary.source_is_prefix = false;
    summary.first.actor = {"Anonymous", "", "", ""};
    summary.first.action = kOverflowAction;
    summary.first.decision = Decision::denied;
    summary.first.reason = "TooManyCallers";
    summary.first.request_id.clear();
    summary.first.correlation_id.clear();
    key.caller = room.overflow_caller;
    key.action = kOverflowAction;
    key.decision = Decision::denied;
    if (is_full) key.minute = room.counts.begin()->first.minute;
    room.counts[std::move(key)].add(summary);
    return;
  }
  ++room.per_minute[key.minute];
  room.counts.emplace(std::move(key), std::move(summary));
}

DenialCounter::Counts DenialCounter::take_finished(Timestamp now) {
  const std::lock_guard lock(mutex_);
  Counts finished;
  for (Room* room : {&known_, &strangers_}) {
    // Keys begin with their minute, so the finished ones stand in front.
    while (!room->counts.empty()) {
      const Minute minute = room->counts.begin()->first.minute;
      if (minute + std::chrono::minutes(1) > now) break;
      room->per_minute.erase(minute);
      finished.insert(room->counts.extract(room->counts.begin()));
    }
  }
  return finished;
}

void DenialCounter::restore(Counts counts) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, summary] : counts)
    add_locked(summary.of_stranger ? strangers_ : known_, key, std::move(summary));
}

}  // namespace merlon::ledger
