// What the privileged half does by itself: keeps deadlines, repairs, takes unconfirmed changes back.
#include "agent/warden.h"

#include <algorithm>

#include "agent/firewall_connections.h"
#include "base/log.h"
#include "base/time_text.h"
#include "machine/fields.h"

namespace merlon::agent {
namespace {

using machine::DesiredState;

constexpr size_t kEventsMax = 512;  // that the server has not heard of
// Of their facts: all of them are part of one answer to the other half.
constexpr size_t kEventsBytesMax = 1024 * 1024;
constexpr std::string_view kDropped = "reports-dropped";

// What is kept when there is no room for all: first what says that this machine was not as it should be, then
// what was let in, then the picture that audit mode makes.
int weight(std::string_view kind) {
  if (kind == "traffic" || kind == "would-drop" || kind == "flows") return 0;
  if (kind == "opened" || kind == "closed" || kind == "suspended" || kind == "resumed") return 1;
  return kind == "released" ? 3 : 2;
}

constexpr Duration kLookEvery{5'000};
constexpr Duration kTickAtMost{1'000};
constexpr Duration kRepairRetry{100};
// Less than this is two clocks read one after the other.
constexpr Duration kSuspendedAtLeast{200};

std::vector<IpAddress> policy_addresses(const DesiredState& state) {
  std::vector<IpAddress> addresses;
  for (const auto& policy : state.interfaces)
    addresses.insert(addresses.end(), policy.addresses.begin(), policy.addresses.end());
  return addresses;
}

// Where no interface is named no rule would be asked: a machine that enforces is closed then. One that is to
// be open is in audit mode.
DesiredState guarded(DesiredState state) {
  if (state.mode == machine::Mode::enforce && state.interfaces.empty())
    state.interfaces = closed_state().interfaces;
  return state;
}

JsonArray texts_of(const std::vector<std::string>& texts) { return JsonArray(texts.begin(), texts.end()); }

}  // namespace

JsonObject KeptRules::to_json() const {
  JsonArray addresses;
  for (const IpAddress& address : server_addresses) addresses.emplace_back(address.text());
  return {
      {"state", state.to_json()}, {"serverAddresses", std::move(addresses)}, {"uplinks", texts_of(uplinks)}};
}

Result<KeptRules> KeptRules::from_json(const JsonObject& json) {
  KeptRules kept;
  kept.state = TRY(DesiredState::from_json(*TRY(machine::object_field(json, "state"))));
  kept.state.openings.clear();
  for (const std::string& text : TRY(machine::texts_field(json, "serverAddresses", 16))) {
    const auto address = IpAddress::parse(text);
    if (!address) return machine::wrong_field("serverAddresses", "IP addresses");
    kept.server_addresses.push_back(*address);
  }
  kept.uplinks = TRY(machine::texts_field(json, "uplinks", 64));
  return kept;
}

JsonObject ReleaseMark::to_json() const {
  return {{"user", user}, {"bootId", boot_id}, {"time", to_rfc3339(time)}};
}

Result<ReleaseMark> ReleaseMark::from_json(const JsonObject& json) {
  ReleaseMark mark;
  mark.user = TRY(machine::text_field_or_empty(json, "user", 256));
  mark.boot_id = TRY(machine::text_field_or_empty(json, "bootId", 64));
  mark.time = TRY(machine::time_field(json, "time"));
  return mark;
}

Result<std::unique_ptr<Warden>> Warden::start(StateFiles files, const Clock& clock, WardenSettings settings) {
  return start(std::move(files), clock, std::move(settings), TRY(Firewall::open(clock)),
               std::make_unique<LinuxSurroundings>());
}

Result<std::unique_ptr<Warden>> Warden::start(StateFiles files, const Clock& clock, WardenSettings settings,
                                              Firewall firewall, std::unique_ptr<Surroundings> surroundings) {
  std::unique_ptr<Warden> warden(
      new Warden(std::move(files), clock, std::move(settings), std::move(firewall), std::move(surroundings)));
  TRY(warden->load());
  return warden;
}

Result<void> Warden::load() {
  if (const auto json = files_.read_json(file::kRules); json) {
    auto kept = KeptRules::from_json(*json);
    if (kept) {
      confirmed_ = std::move(kept->state);
      server_addresses_ = std::move(kept->server_addresses);
      uplinks_ = std::move(kept->uplinks);
    } else {
      log_error("the kept rules cannot be read, starting closed", kept.error());
      confirmed_ = closed_state();
    }
  } else {
    log_error("the kept rules cannot be read, starting closed", json.error());
    confirmed_ = closed_state();
  }
  rules_ = guarded(confirmed_);
  if (settings_.server_address) server_addresses_ = {*settings_.server_address};
  bool ran_in_this_boot = false;
  if (files_.has(file::kOpenings)) {
    std::vector<BookNews> news;
    const auto json = files_.read_json(file::kOpenings);
    ran_in_this_boot = json && string_at(*json, "bootId") == settings_.boot_id;
    auto book = json ? OpeningsBook::from_json(*json, settings_.boot_id, news)
                     : Result<OpeningsBook>(std::unexpected(json.error()));
    // Without the book nothing is open until the server says so; what it says is within its own version
    // order.
    if (book) {
      book_ = *std::move(book);
    } else {
      log_error("the kept openings cannot be read, closing all", book.error());
    }
    note(std::move(news));
  }
  follow_release();
  if (released_) return {};
  const bool was_there = TRY(firewall_.table_exists());
  platform_ = platform();
  // Before the kernel's timers are set: what is slept from here on is taken off them at the next tick.
  slept_ = clock_.boottime() - surroundings_->running();
  TRY(firewall_.begin(rules_, platform_, book_.live()));
  end_expired();
  if (ran_in_this_boot && !was_there) note("table-lost", {{"whileStopped", true}});
  return keep_book();
}

Platform Warden::platform() const {
  Platform made;
  made.internal_interfaces = settings_.cap.internal_interfaces;
  made.uplinks = uplinks_;
  for (const std::string& name : surroundings_->uplinks(policy_addresses(rules_)))
    if (std::find(made.uplinks.begin(), made.uplinks.end(), name) == made.uplinks.end())
      made.uplinks.push_back(name);
  made.resolvers = surroundings_->resolvers();
  made.contact = {server_addresses_, settings_.server_port, settings_.agent_uid, settings_.cap.servers};
  made.mark_mask = book_.mark_mask();
  made.reserved_marks = settings_.cap.mark_mask;
  return made;
}

Result<void> Warden::apply_rules(const DesiredState& state) {
  const Platform now = platform();
  // What was logged so far is told by the rules that it was logged by.
  if (const auto done = firewall_.follow_flows(flows_); !done) log_error("flow logs", done.error());
  DesiredState applied = guarded(state);
  TRY(firewall_.apply(applied, now));
  platform_ = now;
  rules_ = std::move(applied);
  rules_.openings.clear();
  return {};
}

Result<void> Warden::use_marks() {
  if (platform_.mark_mask != book_.mark_mask()) TRY(apply_rules(DesiredState(rules_)));
  // Without this an old connection could come back with a mark that is used again, after a whole round of
  // them.
  for (const uint32_t mark : book_.take_fresh_marks())
    if (const auto done = forget_connections(mark, book_.mark_mask()); !done)
      log_error("forgetting the connections of an earlier opening", done.error());
  return {};
}

Result<void> Warden::keep_rules() {
  return files_.write_json(
      file::kRules,
      KeptRules{.state = confirmed_, .server_addresses = server_addresses_, .uplinks = platform_.uplinks}
          .to_json());
}

Result<void> Warden::keep_book() {
  return files_.write_json(file::kOpenings, book_.to_json(settings_.boot_id));
}

void Warden::note(std::string kind, JsonObject facts) {
  // A report a minute would be most of the log.
  if (kind != "traffic" && kind != "flows")
    log(LogLevel::info, "machine event", {{"kind", kind}, {"facts", to_text(facts)}});
  news_ = true;
  const size_t bytes = to_text(facts).size();
  events_.push_back({++last_event_, std::move(kind), clock_.boottime(), std::move(facts), bytes});
  events_bytes_ += bytes;
  if (events_.size() > kEventsMax || events_bytes_ > kEventsBytesMax) make_room();
}

std::deque<Warden::Event>::iterator Warden::let_go(std::deque<Event>::iterator event) {
  events_bytes_ -= event->bytes;
  return events_.erase(event);
}

// A server that is away for long, or a storm of events: the oldest of what matters least goes, and that it
// went is an event itself, the last one, with all that was ever dropped.
void Warden::make_room() {
  for (auto event = events_.begin(); event != events_.end();)
    event = event->kind == kDropped ? let_go(event) : std::next(event);
  while (events_.size() >= kEventsMax || events_bytes_ > kEventsBytesMax) {
    const auto least =
        std::ranges::min_element(events_, {}, [](const Event& event) { return weight(event.kind); });
    ++dropped_[least->kind];
    if (const JsonArray* flows = array_at(least->facts, "flows"))
      flows_.lost(static_cast<int64_t>(flows->size()));
    let_go(least);
  }
  JsonObject counts;
  for (const auto& [kind, count] : dropped_) counts[kind] = count;
  JsonObject facts = {{"sinceTheAgentStarted", std::move(counts)}};
  const size_t bytes = to_text(facts).size();
  events_.push_back({++last_event_, std::string(kDropped), clock_.boottime(), std::move(facts), bytes});
  events_bytes_ += bytes;
}

void Warden::note(std::vector<BookNews> news) {
  for (BookNews& item : news) note(std::move(item.kind), std::move(item.facts));
}

// The kernel has ended them by its own timers, and tells nobody: look, and say what is true.
void Warden::end_expired() {
  const Duration now = clock_.boottime();
  note(book_.lapse(now));
  const std::vector<LiveOpening> expired = book_.take_expired(now);
  if (expired.empty()) return;
  const Elements live = elements_of(book_.live());
  const auto is_shared = [&](const LiveOpening& opening) {
    const auto keys = keys_of(opening);
    return std::any_of(keys.begin(), keys.end(), [&](const ElementKey& key) { return live.contains(key); });
  };
  for (const LiveOpening& opening : expired) {
    const auto still = is_shared(opening) || released_ ? Result<bool>(false) : firewall_.is_open(opening);
    JsonObject facts = {{"id", opening.id}, {"reason", "expired"}, {"late", still ? *still : true}};
    if (!still || *still) facts["lateMs"] = (now - opening.deadline).count();
    note("closed", std::move(facts));
  }
  if (const auto done = firewall_.set_openings(book_.live()); !done && !released_)
    log_error("removing ended openings", done.error());
  if (const auto kept = keep_book(); !kept) log_error("keeping the openings", kept.error());
}

void Warden::roll_back() {
  const machine::Version version = pending_->version;
  pending_.reset();
  if (const auto done = apply_rules(confirmed_); !done) {
    log_error("taking an unconfirmed change back", done.error());
    pending_ = Pending{version, clock_.boottime() + kTickAtMost};  // again soon
    return;
  }
  error_ = "The rules of version " + std::to_string(version.epoch) + "." + std::to_string(version.number) +
           " were taken back: the server could not be reached within 30 s after they were applied.";
  note("rolled-back", {{"epoch", version.epoch}, {"number", version.number}});
}

bool Warden::watch_table() {
  follow_release();
  const auto seen = firewall_.watch(!released_ && !removed_);
  if (!seen) {
    log_error("the firewall could not be repaired, trying again", seen.error());
    return true;
  }
  blockers_stale_ |= seen->others_changed;
  if (released_ || removed_ || !seen->changed) return seen->others_changed;
  if (seen->table_lost) {
    note("table-lost", {{"gapMs", seen->gap.count()}, {"whileStopped", false}});
  } else {
    note("table-changed", {{"gapMs", seen->gap.count()}});
  }
  return seen->others_changed;
}

// `merlon agent release` marks the state directory and takes the table away; `restore` takes the mark away.
void Warden::follow_release() {
  const bool marked = files_.has(file::kReleased);
  if (marked == released_) return;
  released_ = marked;
  if (!released_) {
    platform_ = platform();
    if (const auto done = firewall_.begin(rules_, platform_, book_.live()); !done) {
      log_error("protecting this machine again", done.error());
      released_ = true;
      return;
    }
    log(LogLevel::warning, "this machine is protected again");
    return;
  }
  log(LogLevel::warning, "this machine was released by its administrator: its firewall is open");
  pending_.reset();
  confirmed_ = rules_;
  // A start puts back what is kept: not what was before a change that nobody can take back any more.
  if (const auto kept = keep_rules(); !kept) log_error("keeping the rules", kept.error());
  firewall_.forget();
  const auto json = files_.read_json(file::kReleased);
  const auto mark = json ? ReleaseMark::from_json(*json) : Result<ReleaseMark>(std::unexpected(json.error()));
  released_at_ = mark ? to_rfc3339(mark->time) : std::string();
  // A file of its own: whoever takes the mark away meanwhile must not find it written again.
  if (mark && files_.read(file::kReleaseReported).value_or("") == released_at_) return;
  JsonObject facts;
  if (mark) facts = {{"user", mark->user}, {"time", to_rfc3339(mark->time)}};
  note("released", std::move(facts));
  released_event_ = last_event_;
}

void Warden::look_around() {
  if (const Platform now = platform(); !(now == platform_)) {
    if (const auto done = apply_rules(rules_); !done) {
      log_error("following a change of interfaces or resolvers", done.error());
    } else if (!pending_) {
      if (const auto kept = keep_rules(); !kept) log_error("keeping the rules", kept.error());
    }
  }
}

// Kernel timers stop in suspend and CLOCK_BOOTTIME goes on: openings are shortened by what was slept.
void Warden::notice_suspension() {
  const Duration slept = clock_.boottime() - surroundings_->running();
  const bool resumed = slept_ && slept - *slept_ > kSuspendedAtLeast;
  slept_ = slept;
  if (!resumed || released_) return;
  log(LogLevel::info, "the machine has slept: openings are shortened to their deadlines");
  if (const auto done = firewall_.reassert_openings(); !done) log_error("shortening openings", done.error());
}

void Warden::tick() {
  if (removed_) return;
  const bool others_changed = watch_table();
  watch_identities(others_changed, clock_.boottime() >= next_users_);
  if (clock_.boottime() >= next_users_) next_users_ = clock_.boottime() + kLookEvery;
  end_expired();
  notice_suspension();
  watch_ssh();
  if (released_) return;
  if (pending_ && clock_.boottime() >= pending_->until) roll_back();
  if (clock_.boottime() >= next_look_) {
    next_look_ = clock_.boottime() + kLookEvery;
    look_around();
  }
  report_audit();
  report_flows();
}

Duration Warden::until_next() const {
  const Duration now = clock_.boottime();
  Duration next = now + (firewall_.needs_watch() ? kRepairRetry : kTickAtMost);
  if (const auto deadline = book_.next_deadline()) next = std::min(next, *deadline);
  if (const auto lapse = book_.next_lapse()) next = std::min(next, *lapse);
  if (pending_) next = std::min(next, pending_->until);
  return std::max(Duration(0), next - now);
}

}  // namespace merlon::agent
