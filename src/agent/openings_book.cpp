// The book of openings.
#include "agent/openings_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/time_text.h"
#include "machine/fields.h"

namespace merlon::agent {
namespace {

using machine::Opening;
using machine::Version;

constexpr size_t kEndedMax = 16'384;        // remembered; the server's own list has as many at most
constexpr size_t kEntriesMax = 3 * 16'384;  // open ones and ended ones, with room for an older bound
constexpr Duration kWorthWriting{200};
constexpr int64_t kRemainingMaxMs = INT64_C(366) * 86'400'000;

JsonObject opening_json(const Opening& opening) {
  JsonObject json = {{"id", opening.id},
                     {"protocol", machine::protocol_text(opening.protocol)},
                     {"source", opening.source.text()},
                     {"destination", opening.destination.text()},
                     {"port", opening.port},
                     {"deadline", to_rfc3339(opening.deadline)}};
  if (opening.cut_established) json["cutEstablished"] = true;
  if (opening.live_server) json["liveServer"] = true;
  return json;
}

// Through the state's own reader, which is strict and bounded.
Result<Opening> read_opening(const JsonObject& json) {
  machine::DesiredState shell;
  JsonObject state = shell.to_json();
  state["openings"] = JsonArray{json};
  return TRY(machine::DesiredState::from_json(state)).openings.front();
}

bool same_door(const Opening& a, const Opening& b) {
  return a.protocol == b.protocol && a.source == b.source && a.destination == b.destination &&
         a.port == b.port;
}

bool same_terms(const Opening& a, const Opening& b) {
  return a.cut_established == b.cut_established && a.live_server == b.live_server;
}

BookNews refused(const Opening& opening, std::string_view reason) {
  JsonObject facts = opening_json(opening);
  facts["reason"] = reason;
  return {"refused", std::move(facts)};
}

BookNews closed(const std::string& id, std::string_view reason) {
  return {"closed", {{"id", id}, {"reason", reason}, {"late", false}}};
}

// Absent in a book from before there were marks.
Result<uint32_t> mark_field(const JsonObject& json, std::string_view key) {
  if (!json.contains(key)) return 0U;
  return static_cast<uint32_t>(TRY(machine::int_field(json, key, 0, UINT32_MAX)));
}

bool too_wide(const Opening& opening, const LocalCap& cap) {
  const unsigned widest = opening.source.family() == IpFamily::v4 ? cap.widest_v4 : cap.widest_v6;
  return opening.source.length() < widest;
}

}  // namespace

JsonObject OpeningOrder::to_json() const {
  return {{"opening", opening_json(opening)},
          {"remainingMs", remaining.count()},
          {"remainingMostMs", std::max(remaining, remaining_most).count()}};
}

Result<OpeningOrder> OpeningOrder::from_json(const JsonObject& json) {
  OpeningOrder order;
  order.opening = TRY(read_opening(*TRY(machine::object_field(json, "opening"))));
  order.remaining = Duration(TRY(machine::int_field(json, "remainingMs", 0, kRemainingMaxMs)));
  order.remaining_most = Duration(TRY(machine::int_field(json, "remainingMostMs", 0, kRemainingMaxMs)));
  return order;
}

void OpeningsBook::set_one(const Version& version, const OpeningOrder& order, const LocalCap& cap,
                           Duration now, std::vector<BookNews>& news) {
  const Opening& wanted = order.opening;
  const auto known = entries_.find(wanted.id);
  const bool newer = known == entries_.end() || version > known->second.version;
  if (known != entries_.end() && !newer) {
    Entry& entry = known->second;
    // The same version may shorten, and open again after a boot; it may not lengthen, move, or bring back.
    if (entry.ended || !same_door(entry.opening, wanted) || !same_terms(entry.opening, wanted) ||
        wanted.deadline > entry.opening.deadline)
      return;
  }
  if (newer && too_wide(wanted, cap)) {
    news.push_back(refused(wanted, "the source is wider than this machine's local cap (local.json) allows"));
    if (known != entries_.end() && known->second.open) news.push_back(closed(wanted.id, "replaced"));
    entries_[wanted.id] = {.opening = wanted, .version = version, .ended = true};
    return;
  }
  const bool was_open = known != entries_.end() && known->second.open;
  Entry entry{.opening = wanted, .version = version};
  // Also of one that has ended: what the cap has closed is not opened anew because something else changed.
  entry.opened = known != entries_.end() ? known->second.opened.value_or(now) : now;
  const Duration capped = *entry.opened + cap.longest_grant;
  Duration latest = std::min(capped, now + std::max(order.remaining, order.remaining_most));
  // More may remain by a server's clock that was set back, or by another server's; the end that was known
  // stands.
  if (known != entries_.end() && known->second.latest && wanted.deadline <= known->second.opening.deadline)
    latest = std::min(latest, *known->second.latest);
  entry.latest = latest;
  entry.deadline = std::min(now + order.remaining, latest);
  // Whoever opens one of many does not write the others anew for a moment.
  if (was_open && wanted.deadline <= known->second.opening.deadline &&
      entry.deadline < known->second.deadline + kWorthWriting)
    entry.deadline = std::min(entry.deadline, known->second.deadline);
  const bool clipped = now + order.remaining > capped;
  entry.open = entry.deadline > now;
  entry.ended = !entry.open && latest <= now;
  const bool moved = was_open && !same_door(known->second.opening, wanted);
  const bool changed = was_open && (moved || wanted.deadline != known->second.opening.deadline);
  if (entry.open && wanted.cut_established)
    entry.mark = was_open && !moved && known->second.mark != 0 ? known->second.mark : new_mark(cap);
  entry.suspended = was_open && wanted.live_server && known->second.suspended;
  if (entry.open && (!was_open || changed)) {
    JsonObject facts = opening_json(wanted);
    facts["remainingMs"] = (entry.deadline - now).count();
    if (clipped) facts["clippedTo"] = to_iso8601_duration(cap.longest_grant);
    if (was_open) facts["changed"] = true;
    news.push_back({"opened", std::move(facts)});
  }
  if (was_open && !entry.open) news.push_back(closed(wanted.id, "expired"));
  entries_[wanted.id] = std::move(entry);
}

// In turn, so that a mark comes back as late as can be; never one that is in use.
uint32_t OpeningsBook::new_mark(const LocalCap& cap) {
  if (last_mark_ == 0) mark_mask_ = cap.mark_mask;
  const auto in_use = [this](uint32_t mark) {
    return std::any_of(entries_.begin(), entries_.end(),
                       [mark](const auto& entry) { return entry.second.open && entry.second.mark == mark; });
  };
  // More openings than marks: the last one is shared, and its connections end with the latest of them.
  std::optional<uint32_t> mark;
  for (size_t i = 0; i <= entries_.size() + 1; ++i) {
    mark = mark_at(++last_mark_, mark_mask_);
    if (!mark) mark = mark_at(last_mark_ = 1, mark_mask_);
    MERLON_CHECK(mark.has_value());
    if (!in_use(*mark)) break;
  }
  fresh_marks_.push_back(*mark);
  return *mark;
}

Result<std::vector<BookNews>> OpeningsBook::set(const Version& version,
                                                const std::vector<OpeningOrder>& orders, const LocalCap& cap,
                                                Duration now) {
  if (version < version_)
    return fail(
        ErrorKind::conflict, "OlderVersion",
        fmt::format("The openings of version {}.{} are older than those of {}.{}, which this machine has.",
                    version.epoch, version.number, version_.epoch, version_.number));
  std::vector<BookNews> news;
  // A new epoch ends all grants: what it still names is opened anew, under its own rules.
  std::set<std::string> named;
  for (const OpeningOrder& order : orders) {
    named.insert(order.opening.id);
    set_one(version, order, cap, now, news);
  }
  for (auto& [id, entry] : entries_) {
    if (named.contains(id)) continue;
    if (entry.open) news.push_back(closed(id, "revoked"));
    if (entry.open || !entry.ended) entry.version = version;  // it must not bring this one back
    entry.open = false;
    entry.ended = true;
  }
  version_ = version;
  forget_what_ended();
  return news;
}

// Under an older version: no order of that one is taken any more. What cut connections is remembered for
// them (has_cut), as long as there is room.
void OpeningsBook::forget_what_ended() {
  std::erase_if(entries_, [&](const auto& entry) {
    const Entry& of = entry.second;
    return of.ended && of.version < version_ && !of.opening.cut_established;
  });
  std::vector<std::pair<Version, std::string>> ended;
  for (const auto& [id, entry] : entries_)
    if (entry.ended) ended.emplace_back(entry.version, id);
  if (ended.size() <= kEndedMax) return;
  std::sort(ended.begin(), ended.end());
  for (size_t i = 0; i < ended.size() - kEndedMax; ++i) entries_.erase(ended[i].second);
}

LiveOpening OpeningsBook::live_of(const std::string& id, const Entry& entry) const {
  return {id,
          entry.opening.protocol,
          entry.opening.source,
          entry.opening.destination,
          entry.opening.port,
          entry.opening.live_server ? std::min(entry.deadline, lease_) : entry.deadline,
          entry.mark};
}

std::vector<BookNews> OpeningsBook::renew_lease(Duration lease, Duration now) {
  lease_ = std::max(lease_, lease);
  std::vector<BookNews> news;
  if (lease_ <= now) return news;
  for (auto& [id, entry] : entries_)
    if (entry.open && std::exchange(entry.suspended, false)) news.push_back({"resumed", {{"id", id}}});
  return news;
}

std::vector<BookNews> OpeningsBook::lapse(Duration now) {
  std::vector<BookNews> news;
  if (lease_ > now) return news;
  for (auto& [id, entry] : entries_) {
    if (!entry.open || !entry.opening.live_server || std::exchange(entry.suspended, true)) continue;
    news.push_back({"suspended", {{"id", id}, {"reason", "the server is silent"}}});
  }
  return news;
}

std::optional<Duration> OpeningsBook::next_lapse() const {
  const bool any = std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) {
    return entry.second.open && entry.second.opening.live_server && !entry.second.suspended;
  });
  if (!any) return std::nullopt;
  return lease_;
}

bool OpeningsBook::has_cut(const IpAddress& peer, const IpAddress& local, uint16_t port) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const auto& entry) {
    const Opening& opening = entry.second.opening;
    return opening.cut_established && opening.destination == local && opening.port == port &&
           opening.source.contains(peer);
  });
}

std::vector<LiveOpening> OpeningsBook::take_expired(Duration now) {
  std::vector<LiveOpening> expired;
  for (auto& [id, entry] : entries_) {
    if (!entry.open || entry.deadline > now) continue;
    expired.push_back(live_of(id, entry));
    entry.open = false;
    // Ended for good only when it has ended by all that is known of the server's time.
    entry.ended = !entry.latest || *entry.latest <= now;
  }
  return expired;
}

std::vector<LiveOpening> OpeningsBook::live() const {
  std::vector<LiveOpening> live;
  for (const auto& [id, entry] : entries_)
    if (entry.open) live.push_back(live_of(id, entry));
  return live;
}

std::vector<std::string> OpeningsBook::live_ids() const {
  std::vector<std::string> ids;
  for (const auto& [id, entry] : entries_)
    if (entry.open && !entry.suspended) ids.push_back(id);
  return ids;
}

std::optional<Duration> OpeningsBook::next_deadline() const {
  std::optional<Duration> next;
  for (const auto& [id, entry] : entries_)
    if (entry.open && (!next || entry.deadline < *next)) next = entry.deadline;
  return next;
}

JsonObject OpeningsBook::to_json(const std::string& boot_id) const {
  JsonArray entries;
  for (const auto& [id, entry] : entries_) {
    JsonObject json = {{"opening", opening_json(entry.opening)},
                       {"epoch", entry.version.epoch},
                       {"number", entry.version.number},
                       {"openedMs", entry.opened.value_or(Duration(0)).count()},
                       {"deadlineMs", entry.deadline.count()},
                       {"open", entry.open},
                       {"ended", entry.ended},
                       {"mark", int64_t{entry.mark}}};
    if (entry.latest) json["latestMs"] = entry.latest->count();
    entries.push_back(std::move(json));
  }
  return {{"bootId", boot_id},
          {"epoch", version_.epoch},
          {"number", version_.number},
          {"lastMark", int64_t{last_mark_}},
          {"markMask", int64_t{mark_mask_}},
          {"entries", std::move(entries)}};
}

Result<OpeningsBook> OpeningsBook::from_json(const JsonObject& json, const std::string& boot_id,
                                             std::vector<BookNews>& news) {
  OpeningsBook book;
  const bool same_boot = TRY(machine::text_field(json, "bootId")) == boot_id;
  book.version_ = {TRY(machine::int_field(json, "epoch", 0, INT64_MAX)),
                   TRY(machine::int_field(json, "number", 0, INT64_MAX))};
  if (same_boot) {
    book.last_mark_ = TRY(mark_field(json, "lastMark"));
    book.mark_mask_ = TRY(mark_field(json, "markMask"));
    if (book.last_mark_ != 0 && book.mark_mask_ == 0)
      return machine::wrong_field("markMask", "the bits that the marks were made of");
  }
  for (const JsonObject* object : TRY(machine::objects_field(json, "entries", kEntriesMax))) {
    Entry entry;
    entry.opening = TRY(read_opening(*TRY(machine::object_field(*object, "opening"))));
    entry.version = {TRY(machine::int_field(*object, "epoch", 0, INT64_MAX)),
                     TRY(machine::int_field(*object, "number", 0, INT64_MAX))};
    if (const Duration opened(TRY(machine::int_field(*object, "openedMs", 0, INT64_MAX))); same_boot)
      entry.opened = opened;
    entry.deadline = Duration(TRY(machine::int_field(*object, "deadlineMs", 0, INT64_MAX)));
    entry.open = TRY(machine::bool_field(*object, "open"));
    entry.ended = TRY(machine::bool_field(*object, "ended"));
    if (same_boot) entry.mark = TRY(mark_field(*object, "mark"));
    if (same_boot && object->contains("latestMs"))
      entry.latest = Duration(TRY(machine::int_field(*object, "latestMs", 0, INT64_MAX)));
    else if (same_boot && entry.open)
      entry.latest = entry.deadline;  // of a book from before there was the word
    if (entry.open && !same_boot) {
      news.push_back(closed(entry.opening.id, "the machine started anew"));
      entry.open = false;
    }
    book.entries_[entry.opening.id] = entry;
  }
  return book;
}

}  // namespace merlon::agent
