// The request table: all that the unprivileged half may ask for.
#include <algorithm>

#include "agent/warden.h"
#include "base/log.h"
#include "crypto/x509.h"
#include "machine/fields.h"

namespace merlon::agent {
namespace {

using machine::DesiredState;
using machine::Version;

constexpr size_t kOrdersMax = 16'384;
constexpr size_t kHeadBytesMax = 4096;
constexpr size_t kServerAddressesMax = 16;

Result<Version> version_in(const JsonObject& request) {
  return Version{TRY(machine::int_field(request, "epoch", 0, INT64_MAX)),
                 TRY(machine::int_field(request, "number", 0, INT64_MAX))};
}

// What the rules say, without what changes beside them.
std::string rules_key(const DesiredState& state) {
  JsonObject json = state.to_json();
  for (const std::string_view key : {"epoch", "number", "openings", "identity", "ssh"}) json.erase(key);
  return to_text(json);
}

JsonObject version_json(const Version& version) {
  return {{"epoch", version.epoch}, {"number", version.number}};
}
JsonArray texts_of(const std::vector<std::string>& texts) { return JsonArray(texts.begin(), texts.end()); }

}  // namespace

JsonObject Warden::answer(const JsonObject& request) {
  const auto answered = dispatch(string_at(request, "ask").value_or(""), request);
  if (answered) return {{"answer", *answered}};
  if (answered.error().kind == ErrorKind::internal) log_error("agent request", answered.error());
  return {{"error", JsonObject{{"code", answered.error().code}, {"message", answered.error().message}}}};
}

Result<JsonObject> Warden::dispatch(const std::string& name, const JsonObject& request) {
  struct Row {
    std::string_view name;
    Result<JsonObject> (Warden::*act)(const JsonObject&);
  };
  static constexpr Row kRequests[] = {{"status", &Warden::status},
                                      {"apply", &Warden::apply},
                                      {"openings", &Warden::set_openings},
                                      {"confirm", &Warden::confirm},
                                      {"heard", &Warden::heard},
                                      {"contact", &Warden::contact},
                                      {"keep-head", &Warden::keep_head},
                                      {"keep-certificate", &Warden::keep_certificate},
                                      {"identity", &Warden::identity},
                                      {"ssh", &Warden::ssh},
                                      {"call", &Warden::call},
                                      {"remove", &Warden::remove}};
  for (const Row& row : kRequests)
    if (row.name == name) return (this->*row.act)(request);
  return fail(ErrorKind::invalid, "NoSuchRequest",
              "The agent's privileged process has no request '" + name + "'.");
}

Result<void> Warden::refuse_when_released() const {
  if (released_ || removed_)
    return fail(ErrorKind::conflict, "Released",
                "This machine was released by its local administrator. 'merlon agent restore' on the machine "
                "protects "
                "it again.");
  if (!settings_.cap.allows("firewall"))
    return fail(ErrorKind::forbidden, "LocalCap",
                "This machine's local cap (local.json) does not let the server change its firewall.");
  return {};
}

Result<JsonObject> Warden::status(const JsonObject& request) {
  const int64_t seen = TRY(machine::int_field(request, "seen", 0, INT64_MAX));
  while (!events_.empty() && events_.front().number <= seen) let_go(events_.begin());
  if (released_event_ != 0 && seen >= released_event_) {
    released_event_ = 0;
    TRY(files_.write(file::kReleaseReported, released_at_));
  }
  if (blockers_stale_) {
    auto blockers = firewall_.blockers();
    if (blockers) {
      blockers->resize(std::min<size_t>(blockers->size(), 256));
      blockers_ = *std::move(blockers);
      blockers_stale_ = false;
    } else {
      log_error("looking for other chains that drop", blockers.error());
    }
  }
  news_ = false;
  const Duration now = clock_.boottime();
  JsonArray events;
  for (const Event& event : events_)
    events.push_back(JsonObject{{"number", event.number},
                                {"kind", event.kind},
                                {"ageMs", (now - event.at).count()},
                                {"facts", event.facts}});
  JsonObject answer = {{"version", version_json(rules_.version)},
                       {"mode", machine::mode_text(rules_.mode)},
                       {"confirmed", !pending_.has_value()},
                       {"error", released_ ? "released by the local administrator" : error_},
                       {"released", released_},
                       {"open", texts_of(released_ ? std::vector<std::string>() : book_.live_ids())},
                       {"blockers", texts_of(blockers_)},
                       {"events", std::move(events)}};
  if (ssh_) answer["ssh"] = ssh_->facts().to_json();
  if (const auto deadline = book_.next_deadline())
    answer["nextDeadlineMs"] = std::max<int64_t>(0, (*deadline - now).count());
  return answer;
}

Result<JsonObject> Warden::apply(const JsonObject& request) {
  TRY(refuse_when_released());
  DesiredState state = TRY(DesiredState::from_json(*TRY(machine::object_field(request, "state"))));
  state.openings.clear();
  if (state.version < rules_.version)
    return fail(
        ErrorKind::conflict, "OlderVersion",
        "The rules are older than those that this machine has: a server restored from a backup starts a new "
        "epoch.");
  const bool same = rules_key(state) == rules_key(rules_);
  if (!same) {
    if (rules_.mode == machine::Mode::audit && state.mode == machine::Mode::enforce) keep_older_sessions();
    if (const auto done = apply_rules(state); !done) {
      error_ = done.error().message + (done.error().cause.empty() ? "" : " " + done.error().cause);
      error_.resize(std::min<size_t>(error_.size(), 4096));
      return std::unexpected(done.error());
    }
    // A change on top of an unconfirmed one starts the wait anew; what returns is still the last confirmed.
    pending_ = Pending{state.version, clock_.boottime() + kConfirmWithin};
  } else {
    rules_.version = state.version;
    if (pending_) pending_->version = state.version;
    if (!pending_) confirmed_.version = state.version;
  }
  error_.clear();
  return JsonObject{{"changed", !same}};
}

Result<JsonObject> Warden::set_openings(const JsonObject& request) {
  TRY(refuse_when_released());
  const Version version = TRY(version_in(request));
  std::vector<OpeningOrder> orders;
  for (const JsonObject* order : TRY(machine::objects_field(request, "orders", kOrdersMax)))
    orders.push_back(TRY(OpeningOrder::from_json(*order)));
  // What remained then is less by what the request has waited here.
  const Duration now = clock_.boottime();
  const Duration counted(TRY(machine::int_field(request, "countedMs", 0, INT64_MAX)));
  if (counted > now) return machine::wrong_field("countedMs", "a moment that has been");
  for (OpeningOrder& order : orders) {
    order.remaining = std::max(order.remaining - (now - counted), Duration(0));
    order.remaining_most = std::max(order.remaining_most - (now - counted), Duration(0));
  }
  OpeningsBook changed = book_;
  auto news = TRY(changed.set(version, orders, settings_.cap, now));
  const OpeningsBook before = std::exchange(book_, std::move(changed));
  // Written first: whoever dies between the two, what was open can be told later.
  if (const auto kept = keep_book(); !kept) {
    book_ = before;
    return std::unexpected(kept.error());
  }
  auto done = use_marks();
  if (done) done = firewall_.set_openings(book_.live());
  if (!done) {
    book_ = before;
    if (const auto kept = keep_book(); !kept) log_error("keeping the openings", kept.error());
    if (const auto back = firewall_.set_openings(book_.live()); !back) log_error("openings", back.error());
    return std::unexpected(done.error());
  }
  note(std::move(news));
  return JsonObject{};
}

Result<JsonObject> Warden::confirm(const JsonObject& request) {
  const Version version = TRY(version_in(request));
  if (!pending_ || pending_->version != version) return JsonObject{{"confirmed", !pending_}};
  pending_.reset();
  confirmed_ = rules_;
  TRY(keep_rules());
  // Not before: rules that are taken back must not have ended anything.
  const auto ended = firewall_.end_denied_connections();
  if (!ended) log_error("ending connections that the rules deny", ended.error());
  if (ended && *ended > 0) note("connections-ended", {{"count", static_cast<int64_t>(*ended)}});
  return JsonObject{{"confirmed", true}};
}

// The server has answered a request that was sent then, so it was alive at that moment at least. What needs a
// live server stays open for a while from there.
Result<JsonObject> Warden::heard(const JsonObject& request) {
  TRY(refuse_when_released());
  const Duration now = clock_.boottime();
  const Duration sent(TRY(machine::int_field(request, "sentMs", 0, INT64_MAX / 2)));
  if (sent > now) return machine::wrong_field("sentMs", "a moment that has been");
  note(book_.renew_lease(sent + kServerLease, now));
  TRY(firewall_.set_openings(book_.live()));
  return JsonObject{};
}

// Where the server's name leads. The port is ours to know; the addresses open no more than that port, to this
// user id, outbound.
Result<JsonObject> Warden::contact(const JsonObject& request) {
  if (settings_.server_address) return JsonObject{};
  std::vector<IpAddress> addresses;
  for (const std::string& text : TRY(machine::texts_field(request, "addresses", kServerAddressesMax))) {
    const auto address = IpAddress::parse(text);
    if (!address) return machine::wrong_field("addresses", "IP addresses");
    addresses.push_back(*address);
  }
  std::sort(addresses.begin(), addresses.end());
  if (addresses == server_addresses_) return JsonObject{};
  server_addresses_ = std::move(addresses);
  if (released_ || removed_) return JsonObject{};
  TRY(apply_rules(DesiredState(rules_)));
  TRY(keep_rules());
  return JsonObject{};
}

Result<JsonObject> Warden::keep_head(const JsonObject& request) {
  TRY(files_.write(file::kHead, TRY(machine::text_field(request, "head", kHeadBytesMax))));
  return JsonObject{};
}

Result<JsonObject> Warden::keep_certificate(const JsonObject& request) {
  const std::string pem = TRY(machine::text_field(request, "certificate", machine::kPemMax));
  if (TRY(crypto::read_certificate(pem)).spki_hash_hex != settings_.public_key_hash)
    return fail(ErrorKind::invalid, "WrongCertificate",
                "The renewed certificate is not for this machine's key; the old one stays.");
  TRY(files_.write(file::kCertificate, pem));
  return JsonObject{};
}

// The machine was removed from Merlon: it is as open as before it was enrolled. Where its owner does not let
// the server change the firewall, its rules stay; what the server has given it goes all the same.
Result<JsonObject> Warden::remove(const JsonObject&) {
  const bool may_open = settings_.cap.allows("firewall");
  removed_ = may_open;
  if (const auto done = firewall_.redirect_identities({}); !done)
    log_error("taking redirections down", done.error());
  doors_.reset();
  redirects_ = {};
  if (may_open) TRY(firewall_.remove());
  if (ssh_) TRY(ssh_->take_down());
  if (!may_open)
    return fail(
        ErrorKind::forbidden, "LocalCap",
        "The server has removed this machine. Its local cap (local.json) does not let the server change "
        "its firewall: the rules stay. 'merlon agent release' on the machine takes them down; with "
        "\"firewall\" in the cap and a restart of the agent they go by themselves.");
  for (const std::string_view name : {file::kEnrolment, file::kCertificate, file::kKey, file::kRules,
                                      file::kOpenings, file::kHead, file::kReleased, file::kReleaseReported})
    TRY(files_.remove(name));
  log(LogLevel::warning, "this machine was removed from Merlon: its rules are down, the agent stops");
  return JsonObject{};
}

}  // namespace merlon::agent
