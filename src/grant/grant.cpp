// Opening, ending and expiring grants, under a clock that never runs backwards.
#include "grant/grant.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/log.h"
#include "base/time_text.h"
#include "grant/clock_mark.h"

namespace merlon::grant {
namespace {

constexpr Duration kMarkEvery = std::chrono::minutes(1);
constexpr size_t kDueAtOnce = 256;  // share one commit
constexpr size_t kDueRead = 4096;   // are looked at together
// Ended grants that a subject keeps, to be looked at; the ledger has all of them.
constexpr size_t kEndedKept = 100;

// One opening of sixteen, by chance: to look for what a subject keeps reads all of it. Not a count: the
// openings of one request share a transaction.
bool looks_for_old_ones(const Uuid& id) { return id.text().ends_with('0'); }

// The highest server time that was ever acted on, so that a stepped-back clock cannot prolong a grant.
const store::TableSpec& clock_table() {
  static const store::TableSpec spec{"grant_clock", {}};
  return spec;
}

Result<void> store_mark(store::Transaction& tx, const TenantId& tenant, Timestamp mark) {
  const JsonObject body = {{"highWater", mark.time_since_epoch().count()}};
  return tx.put(clock_table(), tenant, {"high_water", to_text(body), {}});
}

}  // namespace

Result<Timestamp> stored_mark(store::Reader& reader, const TenantId& tenant) {
  const auto row = TRY(reader.get(clock_table(), tenant, "high_water"));
  if (!row) return Timestamp();
  return Timestamp(Duration(TRY(require_int(TRY(parse_json_object(row->body)), "highWater"))));
}

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {Grant::table(), clock_table()};
  return specs;
}

Grants::Grants(const resource::Core& core, resource::Manager& manager)
    : core_(core), manager_(manager), running_(core.clock.boottime()) {
  const auto mark = store::read_value<Timestamp>(
      core_.store, [&](store::Reader& reader) { return stored_mark(reader, core_.tenant); });
  if (mark) {
    high_water_ = *mark;
    stored_mark_ = *mark;
  } else {
    log_error("the grants' clock mark could not be read", mark.error());
  }
}

void Grants::add_kind(std::string kind, EndHandler on_end) { kinds_[std::move(kind)] = std::move(on_end); }

Timestamp Grants::now() const {
  const std::lock_guard lock(mutex_);
  return advance();
}

Timestamp Grants::now_after(Timestamp mark) const {
  const std::lock_guard lock(mutex_);
  high_water_ = std::max(advance(), mark);
  return high_water_;
}

Timestamp Grants::advance() const {
  // In this order: a pause between the two readings must not put the running clock ahead of the wall's for
  // good.
  const Timestamp wall = core_.clock.now();
  const Duration running = core_.clock.boottime();
  if (any_active_ && running > running_) high_water_ += running - running_;
  running_ = running;
  high_water_ = std::max(high_water_, wall);
  return high_water_;
}

void Grants::note_active() {
  const std::lock_guard lock(mutex_);
  any_active_ = true;
  ++opened_;
}

uint64_t Grants::opened() const {
  const std::lock_guard lock(mutex_);
  return opened_;
}

// `opened_before` was read before the snapshot in which there was none: what was opened since then counts.
void Grants::note_none_active(uint64_t opened_before) {
  const std::lock_guard lock(mutex_);
  if (opened_ != opened_before) return;
  advance();
  any_active_ = false;
}

Result<void> Grants::mark(store::Transaction& tx, Timestamp time) {
  TRY(store_mark(tx, core_.tenant, time));
  tx.after_commit([this, time] {
    const std::lock_guard lock(mutex_);
    stored_mark_ = std::max(stored_mark_, time);
  });
  return {};
}

Result<Grant> Grants::open(store::Transaction& tx, Grant grant) {
  MERLON_CHECK(kinds_.contains(grant.kind));
  const Timestamp time = now();
  if (grant.deadline <= time)
    return fail(ErrorKind::invalid, "InvalidDeadline",
                "The end " + to_rfc3339(grant.deadline) + " is not after the server's time " +
                    to_rfc3339(time) + ". Ask for a later end.");
  grant.id = Uuid::generate(core_.random);
  grant.start = time;
  grant.state = State::active;
  grant.end_reason.clear();
  grant.ended.reset();
  if (looks_for_old_ones(grant.id)) TRY(forget_oldest(tx, grant.subject));
  TRY(store::put(tx, core_.tenant, grant));
  TRY(mark(tx, time));
  tx.after_commit([this] { note_active(); });
  return grant;
}

Result<void> Grants::forget_oldest(store::Transaction& tx, std::string_view subject) {
  // Not each time: only once twice as many are there.
  if (TRY(tx.find(Grant::table(), core_.tenant, "subject", subject)).size() <= 2 * kEndedKept) return {};
  size_t kept = 0;
  for (const Grant& old : TRY(of_subject(tx, subject)))
    if (old.state == State::ended && ++kept > kEndedKept)
      TRY(store::erase<Grant>(tx, core_.tenant, old.key()));
  return {};
}

Result<Grant> Grants::require_active(store::Reader& reader, const Uuid& id, Timestamp time) {
  auto grant = TRY(get(reader, id));
  if (!grant)
    return fail(ErrorKind::not_found, "GrantNotFound", "There is no grant with the id " + id.text() + ".");
  if (grant->state == State::ended || grant->deadline <= time)
    return fail(ErrorKind::conflict, "GrantEnded",
                "The grant " + id.text() + " ended at " + to_rfc3339(grant->ended.value_or(grant->deadline)) +
                    ". Ask for a new one.");
  return *std::move(grant);
}

Result<Grant> Grants::extend(store::Transaction& tx, const Uuid& id, Timestamp deadline) {
  const Timestamp time = now();
  Grant grant = TRY(require_active(tx, id, time));
  if (deadline <= grant.deadline)
    return fail(ErrorKind::invalid, "InvalidDeadline",
                "The end " + to_rfc3339(deadline) + " is not after the present one, " +
                    to_rfc3339(grant.deadline) + ". Ask for a later end.");
  grant.deadline = deadline;
  TRY(store::put(tx, core_.tenant, grant));
  TRY(mark(tx, time));
  return grant;
}

Result<Grant> Grants::set_data(store::Transaction& tx, const Uuid& id, JsonObject data) {
  Grant grant = TRY(require_active(tx, id, now()));
  grant.data = std::move(data);
  TRY(store::put(tx, core_.tenant, grant));
  return grant;
}

Result<void> Grants::end(resource::WriteContext& context, const Uuid& id, std::string_view reason) {
  return end_together(context, {id}, reason);
}

Result<void> Grants::end_together(resource::WriteContext& context, const std::vector<Uuid>& ids,
                                  std::string_view reason) {
  const Timestamp time = now();
  std::map<std::string, std::vector<Grant>> ended;
  for (const Uuid& id : ids) {
    auto grant = TRY(get(context.tx, id));
    if (!grant || grant->state == State::ended) continue;
    grant->state = State::ended;
    grant->end_reason = reason;
    grant->ended = time;
    TRY(store::put(context.tx, core_.tenant, *grant));
    ended[grant->kind].push_back(*std::move(grant));
  }
  if (ended.empty()) return {};
  context.tx.urgent();
  TRY(mark(context.tx, time));
  for (const auto& [name, grants] : ended) {
    const auto kind = kinds_.find(name);
    MERLON_CHECK(kind != kinds_.end());
    TRY(kind->second(context, grants));
  }
  return {};
}

Result<std::optional<Grant>> Grants::get(store::Reader& reader, const Uuid& id) {
  return store::get<Grant>(reader, core_.tenant, id.text());
}

Result<std::vector<Grant>> Grants::active(store::Reader& reader, std::string_view kind) {
  std::vector<Grant> grants;
  store::Range range;
  range.prefix = active_key(kind, "");
  for (;;) {
    const auto rows = TRY(reader.scan_index(Grant::table(), core_.tenant, "active_group", range));
    for (const auto& row : rows) grants.push_back(TRY(store::decode<Grant>(row.row)));
    if (rows.size() < range.limit) return grants;
    range.after = rows.back().value;
    range.after_key = rows.back().row.key;
  }
}

Result<std::vector<Grant>> Grants::active_of_subject(store::Reader& reader, std::string_view kind,
                                                     std::string_view subject) {
  return store::find<Grant>(reader, core_.tenant, "active_subject", active_key(kind, subject));
}

Result<std::vector<Grant>> Grants::active_of_group(store::Reader& reader, std::string_view kind,
                                                   std::string_view group) {
  return store::find<Grant>(reader, core_.tenant, "active_group", active_key(kind, group));
}

Result<std::vector<Grant>> Grants::of_subject(store::Reader& reader, std::string_view subject) {
  auto grants = TRY(store::find<Grant>(reader, core_.tenant, "subject", subject));
  std::sort(grants.begin(), grants.end(), [](const Grant& a, const Grant& b) {
    return std::pair(a.start, a.id) > std::pair(b.start, b.id);
  });
  return grants;
}

Result<void> Grants::follow_mark() {
  const uint64_t opened_before = opened();
  bool any_active = false;
  const Timestamp mark =
      TRY(store::read_value<Timestamp>(core_.store, [&](store::Reader& reader) -> Result<Timestamp> {
        const store::Range first{.prefix = {}, .after = {}, .after_key = {}, .limit = 1};
        any_active = !TRY(reader.scan_index(Grant::table(), core_.tenant, "active_deadline", first)).empty();
        return stored_mark(reader, core_.tenant);
      }));
  {
    const std::lock_guard lock(mutex_);
    high_water_ = std::max(advance(), mark);
    stored_mark_ = std::max(stored_mark_, mark);
  }
  if (any_active) {
    note_active();
  } else {
    note_none_active(opened_before);
  }
  return {};
}

Result<size_t> Grants::end_all(resource::WriteContext& context, std::string_view reason) {
  std::vector<Uuid> ids;
  for (const auto& [kind, handler] : kinds_)
    for (const Grant& grant : TRY(active(context.tx, kind))) ids.push_back(grant.id);
  TRY(end_together(context, ids, reason));
  return ids.size();
}

Result<size_t> Grants::expire_due(const Guard& guard) {
  const Timestamp time = now();
  const uint64_t opened_before = opened();
  size_t ended = 0;
  store::Range range{.prefix = {}, .after = {}, .after_key = {}, .limit = kDueRead};
  for (bool last = false; !last;) {
    const auto page = TRY(store::read_value<DuePage>(
        core_.store, [&](store::Reader& reader) { return due(reader, time, range); }));
    if (page.none_active) note_none_active(opened_before);
    for (size_t from = 0; from < page.ids.size(); from += kDueAtOnce) {
      const std::span ids = std::span(page.ids).subspan(from);
      const std::span some = ids.first(std::min(ids.size(), kDueAtOnce));
      ended += expire({some.begin(), some.end()}, time, guard);
    }
    last = page.last;
  }
  // What has ended has written the mark of its time.
  if (ended == 0 && time - last_stored_mark() >= kMarkEvery)
    TRY(core_.store.write([&](store::Transaction& tx) -> Result<void> {
      if (guard) TRY(guard(tx));
      return mark(tx, time);
    }));
  return ended;
}

// All of them in one commit; and when that fails, each by itself, so that one that cannot be ended does not
// keep the others open.
size_t Grants::expire(const std::vector<Uuid>& ids, Timestamp time, const Guard& guard) {
  if (ids.empty()) return 0;
  const auto all = core_.store.write([&](store::Transaction& tx) -> Result<void> {
    if (guard) TRY(guard(tx));
    return expire_in(tx, ids, time);
  });
  if (all) return ids.size();
  size_t ended = 0;
  for (const Uuid& id : ids) {
    const auto done = core_.store.write([&](store::Transaction& tx) -> Result<void> {
      if (guard) TRY(guard(tx));
      return expire_in(tx, {id}, time);
    });
    if (done) {
      ++ended;
    } else {
      log_error("a grant that is due could not be ended; it is tried again", done.error(),
                {{"grant", id.text()}});
    }
  }
  return ended;
}

Result<void> Grants::expire_in(store::Transaction& tx, const std::vector<Uuid>& ids, Timestamp time) {
  std::vector<Uuid> due;
  // Their state is judged here, not as it was when the list was read.
  for (const Uuid& id : ids)
    if (const auto grant = TRY(get(tx, id));
        grant && grant->state == State::active && grant->deadline <= time)
      due.push_back(id);
  if (due.empty()) return {};
  return manager_.as_system(tx, "the deadline of the grant has passed", [&](resource::WriteContext& context) {
    return end_together(context, due, "Expired");
  });
}

Result<Grants::DuePage> Grants::due(store::Reader& reader, Timestamp time, store::Range& range) {
  DuePage page{.ids = {}, .last = false, .none_active = false};
  std::vector<std::pair<std::string, Uuid>> due_of;
  const bool first = range.after.empty();
  const auto rows = TRY(reader.scan_index(Grant::table(), core_.tenant, "active_deadline", range));
  page.none_active = first && rows.empty();
  for (const auto& row : rows) {
    const auto grant = store::decode<Grant>(row.row);
    page.last = grant && grant->deadline > time;
    if (page.last) break;
    // One that cannot be read is tried like one that is due, and fails by itself: behind it wait others.
    if (const auto id = Uuid::parse(row.row.key))
      due_of.emplace_back(grant ? grant->subject : std::string(), *id);
    range.after = row.value;
    range.after_key = row.row.key;
  }
  page.last = page.last || rows.size() < range.limit;
  // What ends together shares what it is brought in line with.
  std::ranges::sort(due_of);
  for (const auto& [subject, id] : due_of) page.ids.push_back(id);
  return page;
}

std::optional<Timestamp> Grants::next_deadline(store::Reader& reader) {
  store::Range range{.prefix = {}, .after = {}, .after_key = {}, .limit = 1};
  const auto rows = reader.scan_index(Grant::table(), core_.tenant, "active_deadline", range);
  if (!rows || rows->empty()) return std::nullopt;
  const auto grant = store::decode<Grant>(rows->front().row);
  if (!grant) return std::nullopt;
  return grant->deadline;
}

Timestamp Grants::last_stored_mark() const {
  const std::lock_guard lock(mutex_);
  return stored_mark_;
}

}  // namespace merlon::grant
