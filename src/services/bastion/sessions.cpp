// Sessions after the gate: how they end, who says so, and what becomes of those whose server died.
//
// What is known of a session is in the store alone, so any server can ask for the end of any session, and the
// one that carries it sees that within a tick. It also sees that its time is over, that the grant behind it
// has ended, and (every two seconds) that whoever came in may still do so.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "identity/sessions.h"
#include "services/bastion/service.h"
#include "services/bastion/tokens.h"

namespace merlon::bastion {
namespace {

using grant::Grant;
using resource::WriteContext;

constexpr auto kWarnBefore = std::chrono::seconds(60);
constexpr auto kLookEvery = std::chrono::milliseconds(400);  // at most
constexpr auto kExamineEvery = std::chrono::seconds(2);      // whether the rights are still there
constexpr auto kBeatEvery = std::chrono::seconds(5);
constexpr auto kDeadAfter = std::chrono::seconds(20);
constexpr auto kUnjudgedMost = std::chrono::seconds(30);
constexpr auto kTrimEvery = std::chrono::minutes(10);
constexpr auto kKept = std::chrono::hours(24 * 90);
constexpr size_t kTrimmedAtOnce = 200;

Notice end_notice(std::string_view reason, std::string message) {
  return {.kind = Notice::Kind::end, .reason = std::string(reason), .message = std::move(message), .at = {}};
}

std::string message_of(std::string_view reason) {
  if (reason == "BastionDeleted") return "The bastion was deleted.";
  if (reason == "BastionChanged") return "The bastion was changed in a way that does not allow this session.";
  if (reason == "MachineRemoved") return "The machine was removed.";
  if (reason == "LinkDeleted") return "The link that you came by was deleted.";
  return "The session was ended by somebody who may do that.";
}

int64_t whole_seconds(Duration time) { return std::chrono::floor<std::chrono::seconds>(time).count(); }

}  // namespace

JsonObject session_json(const Session& session, Timestamp now) {
  JsonObject properties = {{"bastionId", session.bastion_text},
                           {"targetResourceId", session.target_text},
                           {"targetHostName", session.target_name},
                           {"targetIpAddress", session.address.text()},
                           {"port", session.port},
                           {"protocol", protocol_text(session.protocol)},
                           {"transport", transport_text(session.transport)},
                           {"login", session.login},
                           {"userName", session.person_name},
                           {"userId", session.person.text()},
                           {"userType", session.is_person ? "User" : "ServicePrincipal"},
                           {"clientAddress", session.client.text()},
                           {"clientPort", session.client_port},
                           {"userAgent", session.user_agent},
                           {"startTimeUtc", to_rfc3339(session.start)},
                           {"recording", recording_text(session.recording)},
                           {"reachedBy", session.by_agent ? "agent" : "bastion"},
                           {"bytesToMachine", session.bytes_to_machine},
                           {"bytesToClient", session.bytes_to_client},
                           {"state", session.ended ? "Ended" : "Active"},
                           {"durationSeconds", whole_seconds(session.ended.value_or(now) - session.start)}};
  if (session.signed_in_by) properties["signedInBy"] = signed_in_by_text(*session.signed_in_by);
  if (session.deadline) properties["deadlineUtc"] = to_rfc3339(*session.deadline);
  if (!session.grant.empty()) properties["openingId"] = session.grant;
  if (session.moderation) properties["moderation"] = *session.moderation == Moderation::end ? "end" : "pause";
  if (!session.moderator_name.empty()) properties["moderatorName"] = session.moderator_name;
  if (!session.link.empty()) properties["linkId"] = session.link;
  if (!session.holder_name.empty()) properties["linkHolder"] = session.holder_name;
  if (session.ended) {
    properties["endTimeUtc"] = to_rfc3339(*session.ended);
    properties["endReason"] = session.end_reason;
    properties["endMessage"] = session.end_message;
  }
  return {{"id", session.bastion_text + "/providers/Merlon.Bastion/sessions/" + session.id.text()},
          {"name", session.id.text()},
          {"type", "Merlon.Bastion/sessions"},
          {"properties", std::move(properties)}};
}

Result<std::vector<Session>> Service::active_sessions(store::Reader& reader,
                                                      const resource::ResourceId& bastion) {
  std::vector<Session> sessions;
  store::Range range{.prefix = bastion.key() + "\n", .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan_index(Session::table(), platform_.core.tenant, "class", range));
    for (const store::IndexedRow& row : rows) sessions.push_back(TRY(store::decode<Session>(row.row)));
    if (rows.size() < range.limit) return sessions;
    range.after = rows.back().value;
    range.after_key = rows.back().row.key;
  }
}

Result<std::optional<JsonObject>> Service::session(store::Reader& reader, const Uuid& id) {
  const auto session = TRY(store::get<Session>(reader, platform_.core.tenant, id.text()));
  if (!session) return std::optional<JsonObject>();
  return std::optional<JsonObject>(session_json(*session, platform_.grants.now()));
}

Result<bool> Service::disconnect(WriteContext& context, const Uuid& id, std::string_view reason) {
  auto session = TRY(store::get<Session>(context.tx, platform_.core.tenant, id.text()));
  if (!session || session->ended) return false;
  if (!session->end_asked_reason.empty()) return true;
  session->end_asked_by = context.actor.name;
  session->end_asked_reason = reason;
  context.tx.urgent();
  TRY(store::put(context.tx, platform_.core.tenant, *session));
  return true;
}

Result<void> Service::end_sessions_of(WriteContext& context, std::string_view index, const std::string& value,
                                      std::string_view reason) {
  std::vector<Session> sessions;
  if (index == "bastion") {
    sessions = TRY(active_sessions(context.tx, TRY(resource::ResourceId::parse(value))));
  } else {
    sessions = TRY(store::find<Session>(context.tx, platform_.core.tenant, index, value));
  }
  for (const Session& session : sessions) TRY(disconnect(context, session.id, reason));
  return {};
}

Result<void> Service::end_session(WriteContext& context, const Session& before, const Ended& how) {
  Session session = before;
  session.ended = platform_.grants.now();
  session.end_reason = how.reason;
  session.end_message = how.message;
  session.bytes_to_machine = how.bytes_to_machine;
  session.bytes_to_client = how.bytes_to_client;
  context.tx.urgent();
  TRY(store::put(context.tx, platform_.core.tenant, session));
  JsonObject details = {{"session", session.id.text()},
                        {"bastion", session.bastion_text},
                        {"reason", session.end_reason},
                        {"user", session.person_name},
                        {"userId", session.person.text()},
                        {"durationSeconds", whole_seconds(*session.ended - session.start)},
                        {"bytesToMachine", session.bytes_to_machine},
                        {"bytesToClient", session.bytes_to_client}};
  if (!session.end_message.empty()) details["message"] = session.end_message;
  if (!session.end_asked_by.empty()) details["askedBy"] = session.end_asked_by;
  for (const auto& [key, value] : how.details)
    if (!details.contains(key)) details[key] = value;
  TRY(context.record(kEndAction, session.target_text, std::move(details)));
  const auto grant = session.grant_own ? Uuid::parse(session.grant) : std::nullopt;
  if (!grant) return {};
  const auto opening = TRY(platform_.grants.get(context.tx, *grant));
  if (!opening || opening->state != grant::State::active) return {};
  return platform_.grants.end(context, *grant, "SessionEnded");
}

Result<void> Service::ended(const Uuid& id, const Ended& how) {
  const auto done = platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    const auto session = TRY(store::get<Session>(tx, platform_.core.tenant, id.text()));
    if (!session || session->ended) return {};
    return platform_.resources.as_system(
        tx, "BastionSession", [&](WriteContext& context) { return end_session(context, *session, how); });
  });
  if (done) {
    forget(id);
    return done;
  }
  const std::lock_guard lock(mutex_);  // until it has been written the session counts
  unwritten_.insert_or_assign(id, how);
  return done;
}

void Service::write_unwritten() {
  std::map<Uuid, Ended> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(unwritten_);
  }
  for (const auto& [id, how] : waiting)
    if (const auto done = ended(id, how); !done)
      log_error("the end of a session could not be written; trying again", done.error(),
                {{"session", id.text()}});
}

void Service::forget(const Uuid& session) {
  const std::lock_guard lock(mutex_);
  live_.erase(session);
}

void Service::watch(const Uuid& session, std::function<void(const Notice&)> tell) {
  std::vector<Notice> waiting;
  {
    const std::lock_guard lock(mutex_);
    Live& live = live_[session];
    live.tell = tell;
    waiting.swap(live.waiting);
  }
  for (const Notice& notice : waiting) tell(notice);
}

void Service::notify(const Uuid& session, const Notice& notice) {
  std::function<void(const Notice&)> tell;
  {
    const std::lock_guard lock(mutex_);
    const auto at = live_.find(session);
    if (at == live_.end()) return;
    Live& live = at->second;
    bool& told = notice.kind == Notice::Kind::warn ? live.warned : live.told_end;
    if (!notice.hold && std::exchange(told, true)) return;
    if (!live.tell) {
      live.waiting.push_back(notice);
      return;
    }
    tell = live.tell;
  }
  tell(notice);
}

std::vector<Uuid> Service::live_ids() const {
  const std::lock_guard lock(mutex_);
  std::vector<Uuid> ids;
  for (const auto& [id, live] : live_) ids.push_back(id);
  return ids;
}

// Of a session whose login was judged when it began (docs/decisions/0034): who has lost the right to it opens
// no further shell over a connection of before. A tunnel has no login until whoever ends SSH in it names one.
Result<bool> Service::may_log_in_still(store::Reader& reader, const identity::Principal& caller,
                                       const Session& session) {
  const bool is_judged = session.ends_protocol && session.transport != Transport::link;
  if (!is_judged || session.login.empty() || session.target.contains("bh-hostconnect")) return true;
  if (TRY(has_data_right(reader, caller, kAdminLogin, session.target_text))) return true;
  const std::string& name = session.person_name;
  return session.is_person && ascii_iequal(name.substr(0, name.find('@')), session.login) &&
         TRY(has_data_right(reader, caller, kUserLogin, session.target_text));
}

Result<std::optional<Notice>> Service::rights_gone(store::Reader& reader, const Session& session) {
  const identity::PastSignIn sign_in{.principal = session.person,
                                     .is_person = session.is_person,
                                     .session_id = session.sign_in,
                                     .stamp = session.stamp};
  if (!TRY(identity::still_holds(reader, platform_.core.directory, sign_in)))
    return std::optional(end_notice("SignInEnded", "Your sign-in has ended."));
  identity::Principal caller;
  caller.object_id = session.person;
  caller.kind =
      session.is_person ? identity::PrincipalKind::user : identity::PrincipalKind::service_principal;
  if (!TRY(may_read(reader, caller, kHostRead, session.bastion_text)) ||
      (!session.target.contains("bh-hostconnect") &&
       !TRY(may_read(reader, caller, kMachineRead, session.target_text))) ||
      !TRY(may_log_in_still(reader, caller, session)))
    return std::optional(
        end_notice("RightsRemoved", "You have no right any more to reach the machine this way."));
  return std::optional<Notice>();
}

Result<std::optional<Notice>> Service::verdict_on(store::Reader& reader, const Session& session,
                                                  Timestamp now, Look* look) {
  using Verdict = std::optional<Notice>;
  if (!session.end_asked_reason.empty())
    return Verdict(end_notice(session.end_asked_reason, message_of(session.end_asked_reason)));
  Standing standing{.end = {}, .lasts_until = session.lasts_until};
  if (look != nullptr) {
    if (auto gone = TRY(rights_gone(reader, session))) return gone;
    standing = TRY(standing_of(reader, session, *look));
    if (standing.end) return standing.end;
  }
  std::optional<Timestamp> deadline = standing.lasts_until;
  if (const auto id = Uuid::parse(session.grant)) {
    const auto grant = TRY(platform_.grants.get(reader, *id));
    const bool over = !grant || grant->state == grant::State::ended;
    const bool expired = grant && (grant->end_reason == "Expired" || (!over && grant->deadline <= now));
    if (over && !expired)
      return Verdict(end_notice("AccessRevoked", "Your access to the machine was revoked."));
    const bool keeps = session.keep_after_grant && standing.keeps_after_grant;
    if (!keeps && grant && (!deadline || grant->deadline < *deadline)) deadline = grant->deadline;
  }
  if (!deadline) return Verdict();
  if (*deadline <= now)
    return Verdict(end_notice("DeadlinePassed",
                              fmt::format("The time of this session is over ({}).", to_rfc3339(*deadline))));
  if (*deadline - now > kWarnBefore) {
    next_due_ = std::min(next_due_, *deadline - kWarnBefore);
    return Verdict();
  }
  next_due_ = std::min(next_due_, *deadline);
  return Verdict(Notice{
      .kind = Notice::Kind::warn,
      .reason = "DeadlineNear",
      .message = fmt::format("This session will be ended in {} (at {}).",
                             to_human_duration(std::chrono::floor<std::chrono::seconds>(*deadline - now)),
                             to_rfc3339(*deadline)),
      .at = *deadline});
}

Result<void> Service::look_at_own(Timestamp now) {
  const auto live = live_ids();
  if (live.empty()) return {};
  const uint64_t commits = platform_.core.store.commit_count();
  const bool examine = now - examined_ >= kExamineEvery || now < examined_;
  const bool changed = !parameters_.alone || commits != commits_seen_;
  if (!examine && now < next_due_ && (!changed || (now - looked_ < kLookEvery && now >= looked_))) return {};
  commits_seen_ = commits;
  looked_ = now;
  if (examine) examined_ = now;
  next_due_ = Timestamp::max();
  Look look;
  std::vector<std::pair<Uuid, Notice>> notices;
  TRY(platform_.core.store.read([&](store::Reader& reader) -> Result<void> {
    for (const Uuid& id : live) {
      const auto judged = judge_own(reader, id, now, examine ? &look : nullptr);
      if (judged) {
        unjudged_.erase(id);
        for (const Notice& notice : *judged) notices.emplace_back(id, notice);
        continue;
      }
      // Without its store a server judges nothing, and tries again.
      if (judged.error().kind == ErrorKind::unavailable) {
        next_due_ = now;
        return std::unexpected(judged.error());
      }
      if (const auto notice = not_judged(id, judged.error(), now)) notices.emplace_back(id, *notice);
    }
    return {};
  }));
  std::erase_if(unjudged_,
                [&](const auto& each) { return std::ranges::find(live, each.first) == live.end(); });
  for (const auto& [id, notice] : notices) notify(id, notice);
  return {};
}

Result<std::vector<Notice>> Service::judge_own(store::Reader& reader, const Uuid& id, Timestamp now,
                                               Look* look) {
  std::vector<Notice> notices;
  const auto session = TRY(store::get<Session>(reader, platform_.core.tenant, id.text()));
  if (!session || session->ended) {
    const std::string reason = session ? session->end_reason : "SessionUnknown";
    notices.push_back(end_notice(reason, "The session was ended on the record already."));
    return notices;
  }
  if (auto notice = moderation_of(*session, now)) notices.push_back(*std::move(notice));
  if (auto notice = TRY(verdict_on(reader, *session, now, look))) notices.push_back(*std::move(notice));
  return notices;
}

// Some record behind it cannot be read. The others are judged all the same, and this one ends before long:
// whether it may go on is not known.
std::optional<Notice> Service::not_judged(const Uuid& id, const Error& error, Timestamp now) {
  const auto [since, is_new] = unjudged_.try_emplace(id, now);
  if (is_new) log_error("whether a session may go on cannot be found out", error, {{"session", id.text()}});
  next_due_ = std::min(next_due_, since->second + kUnjudgedMost);
  if (now - since->second < kUnjudgedMost && now >= since->second) return std::nullopt;
  return end_notice("NotJudged", "Whether this session may go on cannot be found out at the moment.");
}

// So that others can tell a server that is gone from one that is quiet.
Result<void> Service::beat(Timestamp now) {
  if (now - beaten_ < kBeatEvery && now >= beaten_) return {};
  if (live_ids().empty()) return {};
  beaten_ = now;
  return platform_.core.store.write([&](store::Transaction& tx) {
    return store::put(tx, platform_.core.tenant, CarryingServer{.id = server_, .seen = now});
  });
}

// Sessions of servers that are gone are ended on the record; their connections ended with the process.
Result<void> Service::reap(const grant::Grants::Guard& guard, Timestamp now) {
  const bool first = reaped_ == Timestamp{};
  if (!first && (parameters_.alone || (now - reaped_ < kBeatEvery && now >= reaped_))) return {};
  std::vector<std::pair<Session, std::optional<Timestamp>>> orphans;
  TRY(platform_.core.store.read([&](store::Reader& reader) -> Result<void> {
    std::map<std::string, std::optional<Timestamp>> seen;
    store::Range range{.prefix = {}, .after = {}, .after_key = {}};
    for (;;) {
      const auto rows = TRY(reader.scan_index(Session::table(), platform_.core.tenant, "server", range));
      for (const store::IndexedRow& row : rows) {
        if (row.value == server_) continue;
        if (!seen.contains(row.value)) {
          const auto server = TRY(store::get<CarryingServer>(reader, platform_.core.tenant, row.value));
          seen[row.value] = server ? std::optional(server->seen) : std::nullopt;
        }
        const auto& last = seen[row.value];
        if (!parameters_.alone && last && now - *last < kDeadAfter) continue;
        if (auto orphan = store::decode<Session>(row.row))
          orphans.emplace_back(*std::move(orphan), last);
        else
          log_error("a session of a server that is gone cannot be read", orphan.error(),
                    {{"session", row.row.key}});
      }
      if (rows.size() < range.limit) return {};
      range.after = rows.back().value;
      range.after_key = rows.back().row.key;
    }
  }));
  Result<void> all;
  for (const auto& [orphan, last] : orphans) {
    const Ended how{
        .reason = "ServerDied",
        .message = fmt::format("The server that carried the session stopped{}; when exactly is not "
                               "known.",
                               last ? ", some time after " + to_rfc3339(*last) : "")};
    const auto done = platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
      if (guard) TRY(guard(tx));
      const auto session = TRY(store::get<Session>(tx, platform_.core.tenant, orphan.id.text()));
      if (!session || session->ended) return {};
      return platform_.resources.as_system(tx, "BastionServerGone", [&](WriteContext& context) {
        return end_session(context, *session, how);
      });
    });
    if (!done && all) all = done;  // the others are ended all the same
  }
  if (all) reaped_ = now;
  return all;
}

Result<void> Service::forget_old(const grant::Grants::Guard& guard, Timestamp now) {
  if (now - trimmed_ < kTrimEvery && now >= trimmed_) return {};
  trimmed_ = now;
  TRY(forget_old_tokens(platform_.core, now));
  TRY(forget_old_links(guard, now));
  const std::string limit = sortable(now - kKept);
  const store::Range oldest{.prefix = {}, .after = {}, .after_key = {}, .limit = kTrimmedAtOnce};
  std::vector<std::string> old;
  TRY(platform_.core.store.read([&](store::Reader& reader) -> Result<void> {
    for (const store::IndexedRow& row :
         TRY(reader.scan_index(Session::table(), platform_.core.tenant, "ended", oldest)))
      if (row.value < limit) old.push_back(row.row.key);
    return {};
  }));
  if (old.empty()) return {};
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    if (guard) TRY(guard(tx));
    for (const std::string& key : old) TRY(tx.erase(Session::table(), platform_.core.tenant, key));
    return {};
  });
}

Result<void> Service::tick(const grant::Grants::Guard& guard, bool leads) {
  const Timestamp now = platform_.grants.now();
  write_unwritten();
  TRY(look_at_own(now));
  TRY(beat(now));
  if (!leads) return {};
  const auto reaped = reap(guard, now);
  TRY(forget_old(guard, now));
  return reaped;
}

void Service::stop() {
  for (const Uuid& id : live_ids()) {
    notify(id, end_notice("ServerStopping", "The server stops. Connect again in a moment."));
    const auto done = ended(id, {.reason = "ServerStopping", .message = "The server was stopped."});
    if (!done) log_error("a session could not be ended on the record", done.error());
  }
}

}  // namespace merlon::bastion
