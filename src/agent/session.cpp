// The channel loop, one step at a time.
#include "agent/session.h"

#include <algorithm>

#include "base/log.h"
#include "ledger/ledger.h"
#include "machine/fields.h"

namespace merlon::agent {
namespace {

using machine::Observation;
using machine::SyncAnswer;
using machine::SyncRequest;

constexpr Duration kLongPoll{25'000};
// A released machine that is protected again is behind: it must not take a whole poll to ask for its state.
constexpr Duration kReleasedPoll{5'000};
// Thrice within a lease (warden.h), so that one lost answer suspends nothing.
constexpr Duration kLeasePoll{4'000};
constexpr Duration kAfterDeadline{150};  // an opening's end is told as soon as it was looked at
constexpr Duration kPauseLeast{200};
constexpr Duration kPauseMost{5'000};
constexpr Duration kApplyAgain{30'000};
constexpr Duration kRenewAgain{600'000};
constexpr Duration kBoundMoved{200};
constexpr Duration kRemoveAgain{5'000};
constexpr Duration kRemoveForbidden{60'000};
constexpr size_t kOwnMax = 64;
constexpr std::string_view kDropped = "reports-dropped";
constexpr size_t kObservationsMax = 1000;
// In one request, of which the server takes 4 MiB: the rest goes with the next.
constexpr size_t kObservationBytesMax = 1024 * 1024;
constexpr Duration kObservationAgeMax = std::chrono::hours(24 * 366);  // as the server's reader has it

std::string interfaces_key(const machine::MachineFacts& facts) {
  return to_text(Json(facts.to_json().at("interfaces")));
}

JsonObject version_json(const machine::Version& version) {
  return {{"epoch", version.epoch}, {"number", version.number}};
}

Result<ledger::SignedHead> read_head(const std::string& text) {
  return ledger::SignedHead::from_json(TRY(parse_json_object(text)));
}

bool proves(const ledger::SignedHead& old, const ledger::SignedHead& fresh,
            const std::vector<std::string>& hex) {
  if (old.key_id != fresh.key_id || old.tenant != fresh.tenant || fresh.size < old.size) return false;
  if (fresh.size == old.size) return fresh.root == old.root;
  if (old.size == 0) return true;
  std::vector<ledger::Hash> proof;
  for (const std::string& text : hex) {
    const auto bytes = from_hex(text);
    ledger::Hash hash{};
    if (!bytes || bytes->size() != hash.size()) return false;
    std::copy(bytes->begin(), bytes->end(), hash.begin());
    proof.push_back(hash);
  }
  return ledger::verify_consistency(old.size, fresh.size, old.root, fresh.root, proof);
}

}  // namespace

void Session::observe(std::string kind, JsonObject facts) {
  // Age holds the moment until the request is made.
  own_.push_back({std::move(kind), clock_.boottime(), std::move(facts)});
  if (own_.size() <= kOwnMax) return;
  // A fork is evidence; an older change of addresses is in the facts of the newest.
  std::erase_if(own_, [](const Observation& own) { return own.kind == kDropped; });
  while (own_.size() >= kOwnMax) {
    const auto least = std::ranges::find_if(own_, [](const Observation& own) { return own.kind != "fork"; });
    own_.erase(least == own_.end() ? own_.begin() : least);
    ++own_dropped_;
  }
  own_.push_back(
      {std::string(kDropped), clock_.boottime(), {{"exchangesSinceTheAgentStarted", own_dropped_}}});
}

Result<bool> Session::tell(std::string_view name, JsonObject body) {
  const auto answer = warden_.ask(name, std::move(body));
  if (answer) return true;
  if (answer.error().code == "AgentHalfGone") return std::unexpected(answer.error());
  log_error("the privileged process refused", answer.error(), {{"request", name}});
  return false;
}

bool Session::needs_live_server() const {
  return openings_ && std::any_of(openings_->openings.begin(), openings_->openings.end(),
                                  [](const machine::Opening& opening) { return opening.live_server; });
}

Duration Session::wait_for(std::optional<int64_t> next_deadline_ms) const {
  if (confirm_due_ || (!unheard_ && (contact_due_ || !own_.empty()))) return Duration(0);
  Duration poll = was_released_ ? kReleasedPoll : kLongPoll;
  if (needs_live_server()) poll = std::min(poll, kLeasePoll);
  if (!next_deadline_ms) return poll;
  return std::min(poll, Duration(*next_deadline_ms) + kAfterDeadline);
}

Result<SyncRequest> Session::next_request() {
  const JsonObject status = TRY(warden_.ask("status", {{"seen", seen_}}));
  SyncRequest request;
  request.nonce = to_base64url(random_.bytes(16));
  machine::MachineFacts facts = facts_();
  if (status.contains("ssh"))
    facts.ssh = TRY(machine::SshFacts::from_json(*TRY(machine::object_field(status, "ssh"))));
  request.boot_id = facts.boot_id;
  const bool moved = interfaces_key(facts) != interfaces_;
  if (moved && !interfaces_.empty() && !new_facts_)
    observe("address-changed", {{"interfaces", facts.to_json().at("interfaces")}});
  if (moved || facts.ssh != ssh_) new_facts_ = facts;
  request.facts = new_facts_;
  const bool released = TRY(machine::bool_field(status, "released"));
  const JsonObject* version = TRY(machine::object_field(status, "version"));
  // Protected again, or a change that did not succeed: ask for the whole state.
  if ((was_released_ && !released) || (apply_again_ && clock_.boottime() >= *apply_again_)) {
    have_ = {};
    apply_again_.reset();
  }
  was_released_ = released;
  request.have = have_;
  request.applied.version = {TRY(machine::int_field(*version, "epoch", 0, INT64_MAX)),
                             TRY(machine::int_field(*version, "number", 0, INT64_MAX))};
  request.applied.mode =
      TRY(machine::text_field(status, "mode")) == "enforce" ? machine::Mode::enforce : machine::Mode::audit;
  request.applied.confirmed = TRY(machine::bool_field(status, "confirmed"));
  request.applied.error = TRY(machine::text_field_or_empty(status, "error", 4096));
  request.applied.open = TRY(machine::texts_field(status, "open", 16'384));
  request.applied.blockers = TRY(machine::texts_field(status, "blockers", 256));
  confirm_due_ = !request.applied.confirmed;
  TRY(add_observations(request, status));
  request.wait_ms = wait_for(int_at(status, "nextDeadlineMs")).count();
  request.head = head_;
  return request;
}

// As many as one request takes; one at least. Those that stay behind are news for the next.
Result<void> Session::add_observations(SyncRequest& request, const JsonObject& status) {
  size_t bytes = 0;
  const auto add = [&](std::string kind, Duration age, const JsonObject& facts) {
    bytes += to_text(facts).size();
    if (bytes > kObservationBytesMax && !request.observations.empty()) return false;
    request.observations.push_back({std::move(kind), std::min(age, kObservationAgeMax), facts});
    return true;
  };
  sending_ = seen_;
  own_sending_ = 0;
  for (const JsonObject* event : TRY(machine::objects_field(status, "events", kObservationsMax))) {
    if (!add(TRY(machine::text_field(*event, "kind", 64)),
             Duration(TRY(machine::int_field(*event, "ageMs", 0, INT64_MAX))),
             *TRY(machine::object_field(*event, "facts"))))
      break;
    sending_ = TRY(machine::int_field(*event, "number", 0, INT64_MAX));
  }
  contact_due_ = contact_due_ || !request.observations.empty();
  for (const Observation& own : own_) {
    if (!add(own.kind, clock_.boottime() - own.age, own.facts)) break;
    ++own_sending_;
  }
  return {};
}

Session::Step Session::after_failure(const Error& error) {
  // Doubling from 0.2 s to 5 s; the upper half of it by chance, so that a fleet does not come back as one.
  const Duration most = std::min(kPauseMost, kPauseLeast * (1 << std::min(failures_, 5U)));
  ++failures_;
  contact_due_ = true;
  const Bytes chance = random_.bytes(2);
  const Duration pause = most / 2 + (most / 2) * chance[0] / 256;
  log_error("no exchange with the server", error, {{"failures", static_cast<int64_t>(failures_)}});
  return {.pause = std::max(kPauseLeast, pause)};
}

Result<Session::Step> Session::step() {
  const Asked asked = TRY(ask());
  return hear(asked, exchange_.sync(asked.request));
}

Result<Session::Asked> Session::ask() {
  TRY(renew_when_due(false));
  Asked asked;
  asked.request = TRY(next_request());
  asked.sent = clock_.boottime();
  return asked;
}

Result<Session::Step> Session::hear(const Asked& asked, const Result<SyncAnswer>& answer) {
  const SyncRequest& request = asked.request;
  const Duration received = clock_.boottime();
  if (!answer && answer.error().code == "RequestStopped") {
    contact_due_ = true;  // something has happened here
    return Step{};
  }
  if (!answer) {
    if (answer.error().code == "CertificateExpired") TRY(renew_when_due(true));
    return after_failure(answer.error());
  }
  if (answer->nonce != request.nonce)
    return after_failure(fail(ErrorKind::unavailable, "WrongNonce",
                              "The server's answer belongs to another request; it is not used.")
                             .error());
  failures_ = 0;
  take_as_heard(*answer);
  const ServerTime::Answer told{.server = answer->server,
                                .time = answer->server_time,
                                .held = answer->held,
                                .sent = asked.sent,
                                .received = received};
  server_time_.told_by(told);
  if (answer->released) return leave(asked);
  // This request was made after the change was applied, so it is the contact that proves it harmless.
  if (confirm_due_) TRY(tell("confirm", version_json(request.applied.version)));
  confirm_due_ = false;
  const machine::Version had = have_;
  // Before the openings: those that need a live server begin with it.
  const auto needs_it = [](const machine::Opening& opening) { return opening.live_server; };
  if (needs_live_server() || (answer->state && std::any_of(answer->state->openings.begin(),
                                                           answer->state->openings.end(), needs_it)))
    TRY(tell("heard", {{"sentMs", asked.sent.count()}}));
  if (answer->state) {
    TRY(take_state(*answer->state, told));
  } else {
    openings_time_.vouched_by(told);
    TRY(order_anew());
  }
  // After the openings: somebody waits for those, and keeping a head takes the disk's time. Whatever it
  // proves, the state is the server's.
  TRY(check_head(*answer, had));
  return Step{};
}

// What was sent has arrived, unless the server says that it could not keep it.
void Session::take_as_heard(const SyncAnswer& answer) {
  contact_due_ = false;
  unheard_ = answer.unheard;
  if (unheard_) return;
  seen_ = sending_;
  own_.erase(own_.begin(), own_.begin() + static_cast<ptrdiff_t>(std::min(own_sending_, own_.size())));
  if (!new_facts_) return;
  interfaces_ = interfaces_key(*new_facts_);
  ssh_ = std::exchange(new_facts_, std::nullopt)->ssh;
}

// The server keeps this machine's key until it hears that the rules are down, so a lost answer is only heard
// later. That it hears of it is best effort: without, it goes on knowing a key that nobody has any more.
Result<Session::Step> Session::leave(const Asked& asked) {
  if (const auto removed = warden_.ask("remove", {}); !removed) {
    if (removed.error().code == "AgentHalfGone") return std::unexpected(removed.error());
    log_error("the privileged process does not take the rules down", removed.error());
    return Step{.pause = removed.error().code == "LocalCap" ? kRemoveForbidden : kRemoveAgain};
  }
  SyncRequest farewell = asked.request;
  farewell.nonce = to_base64url(random_.bytes(16));
  farewell.observations.clear();
  farewell.facts.reset();
  farewell.wait_ms = 0;
  farewell.gone = true;
  if (const auto said = exchange_.sync(farewell); !said)
    log_error("the server could not be told that this machine's rules are down", said.error());
  return Step{.removed = true};
}

Result<void> Session::take_state(const machine::DesiredState& state, const ServerTime::Answer& told) {
  contact_due_ = true;
  if (state.version < have_) {
    log(LogLevel::error, "the server sent an older state than before; it is not used");
    return {};
  }
  if (have_.epoch != 0 && state.version.epoch != have_.epoch) {
    observe("restored", {{"fromEpoch", have_.epoch}, {"toEpoch", state.version.epoch}});
    interfaces_.clear();  // the server's memory is an older one: it is told the facts again
  }
  machine::DesiredState rules = state;
  rules.openings.clear();
  const bool applied = TRY(tell("apply", {{"state", rules.to_json()}}));
  have_ = state.version;
  if (!applied) apply_again_ = clock_.boottime() + kApplyAgain;
  openings_ = state;
  openings_time_.told_by(told);
  // First: somebody waits for them.
  TRY(order_openings());
  if (!state.ssh.empty() && state.ssh != ssh_trust_ && TRY(tell("ssh", state.ssh.to_json())))
    ssh_trust_ = state.ssh;
  return serve(state.identity);
}

// At each new state, whatever has changed in it: tokens that were kept end with it.
Result<void> Session::serve(const machine::IdentityEndpoint& endpoint) {
  if (identities_ == nullptr) return {};
  const auto doors = identities_->follow(endpoint);
  if (!doors) {
    // Tried again: another program may hold the port for a moment, or for as long as it pleases.
    if (!apply_again_) apply_again_ = clock_.boottime() + kApplyAgain;
    if (std::exchange(identities_failed_, doors.error().code) == doors.error().code) return {};
    log_error("this machine's identities cannot be served; trying again", doors.error());
    observe("identity-endpoint-failed", {{"code", doors.error().code}, {"message", doors.error().message}});
    return {};
  }
  identities_failed_.clear();
  if (TRY(tell("identity", *doors))) identities_->settle();
  return {};
}

// When it is later than was thought; or when they were ordered by an answer that was long on its way, so that
// they end too soon, and it is known better now.
Result<void> Session::order_anew() {
  if (!openings_ || !ordered_by_) return {};
  const Duration at_boot{};
  const Timestamp latest = openings_time_.at_most(at_boot).value();
  const Timestamp earliest = openings_time_.at_least(at_boot).value();
  const bool later = latest > ordered_by_->latest + kBoundMoved;
  const bool was_loose = ordered_by_->latest > ordered_by_->earliest + kBoundMoved;
  const bool tighter =
      latest + kBoundMoved < ordered_by_->latest || earliest > ordered_by_->earliest + kBoundMoved;
  if (!later && !(was_loose && tighter)) return {};
  return order_openings();
}

Result<void> Session::order_openings() {
  const Duration now = clock_.boottime();
  const Duration at_boot{};
  ordered_by_ = {.latest = openings_time_.at_most(at_boot).value(),
                 .earliest = openings_time_.at_least(at_boot).value()};
  const Timestamp latest = openings_time_.at_most(now).value();
  const Timestamp earliest = std::min(latest, openings_time_.at_least(now).value());
  const auto left = [](const machine::Opening& opening, Timestamp time) {
    return std::max<int64_t>(0, (opening.deadline - time).count());
  };
  JsonArray orders;
  for (const machine::Opening& opening : openings_->openings) {
    machine::DesiredState shell;
    shell.openings = {opening};
    orders.push_back(JsonObject{{"opening", shell.to_json().at("openings").as_array().front()},
                                {"remainingMs", left(opening, latest)},
                                {"remainingMostMs", left(opening, earliest)}});
  }
  JsonObject body = version_json(openings_->version);
  body["countedMs"] = now.count();
  body["orders"] = std::move(orders);
  if (!TRY(tell("openings", std::move(body))) && !apply_again_)
    apply_again_ = clock_.boottime() + kApplyAgain;
  return {};
}

// Every head that we see must continue the one that we saw before; whoever shows this machine another history
// than the others has forked the ledger.
Result<void> Session::check_head(const SyncAnswer& answer, const machine::Version& had) {
  if (answer.head.empty() || answer.head == head_) return {};
  const auto fresh = read_head(answer.head);
  const auto old = head_.empty() ? fresh : read_head(head_);
  if (!fresh || (old && !proves(*old, *fresh, answer.consistency))) {
    if (fork_told_ == answer.head) return {};
    fork_told_ = answer.head;
    log(LogLevel::error,
        "THE SERVER'S LEDGER DOES NOT CONTINUE THE ONE SEEN BEFORE: its history was rewritten or cut",
        {{"seen", head_}, {"shown", answer.head}});
    observe("fork", {{"seen", head_}, {"shown", answer.head}});
    // The head of before is the evidence: it stays, unless the server says that it was restored from a
    // backup.
    if (!fresh || !answer.state || had.epoch == 0 || answer.state->version.epoch <= had.epoch) return {};
  }
  head_ = answer.head;
  TRY(tell("keep-head", {{"head", head_}}));
  return {};
}

Result<void> Session::renew_when_due(bool refused) {
  const auto now = server_time_.at_most(clock_.boottime());
  if (clock_.boottime() < renew_again_ || (!refused && (!now || *now < exchange_.renew_after()))) return {};
  renew_again_ = clock_.boottime() + kRenewAgain;
  const auto certificate = exchange_.renew();
  if (!certificate) {
    log_error("the certificate could not be renewed, trying again in ten minutes", certificate.error());
    return {};
  }
  TRY(tell("keep-certificate", {{"certificate", *certificate}}));
  log(LogLevel::info, "certificate renewed");
  return {};
}

}  // namespace merlon::agent
