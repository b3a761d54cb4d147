// Moderated sessions: nothing passes unless a second person looks on. They say so every few seconds; the
// server that carries the session holds it while they do not.
#include <fmt/format.h>

#include "base/text.h"
#include "base/time_text.h"
#include "services/bastion/routes.h"
#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

using resource::Route;
using resource::WriteContext;

constexpr std::string_view kModerateAction = "Merlon.Bastion/sessions/moderate/action";
constexpr Duration kPresentFor = std::chrono::seconds(15);
constexpr Duration kHeldMax = std::chrono::minutes(10);

bool is_present(const Session& session, Timestamp now) {
  return session.moderator_seen && now - *session.moderator_seen < kPresentFor;
}

Result<Session> moderated(WriteContext& context, const Uuid& id) {
  const auto session = TRY(store::get<Session>(context.tx, context.core.tenant, id.text()));
  if (!session || session->ended)
    return fail(ErrorKind::not_found, "SessionNotFound",
                "There is no such session that runs. 'merlon bastion session list' shows those that do.");
  if (session->moderation) return *session;
  return fail(ErrorKind::conflict, "SessionNotModerated",
              "This session needs no moderator. 'merlon recording watch' shows what happens in it.");
}

Result<void> enter(WriteContext& context, const Session& session, std::string_view what) {
  return context.record(kModerateAction, session.target_text,
                        {{"session", session.id.text()},
                         {"bastion", session.bastion_text},
                         {"moderation", what},
                         {"user", session.person_name},
                         {"userId", session.person.text()}});
}

using Act = Result<JsonObject> (Service::*)(WriteContext&, const Uuid&);

Result<JsonObject> carry_out(Service& service, WriteContext& context, Act act) {
  const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
  // The route's look at the right was before this transaction.
  TRY(context.require(kModerateAction, host.id.text()));
  const auto id = Uuid::parse(context.call.parameter("sessionId"));
  const auto session =
      id ? TRY(store::get<Session>(context.tx, context.core.tenant, id->text())) : std::nullopt;
  if (session && session->bastion == host.id.key()) return (service.*act)(context, *id);
  return fail(ErrorKind::not_found, "SessionNotFound",
              fmt::format("The bastion '{}' has no such session.", host.id.name()));
}

// Not a write of the Resource Manager's: that would enter each time that somebody says they are still there.
// What changes is entered by the acts themselves.
Route moderation_route(Service& service, const std::string& verb, std::string summary, Act act) {
  Route route;
  route.method = "POST";
  route.path = kHostPath + "/providers/Merlon.Bastion/sessions/{sessionId}/" + verb;
  route.checked_at = kHostPath;
  route.permission = kModerateAction;
  route.summary = std::move(summary);
  route.gather = [&service, act](const resource::Call& call) -> Result<resource::Gathered> {
    const resource::Core& core = service.platform().core;
    auto done = store::write_value<JsonObject>(core.store, [&](store::Transaction& tx) {
      WriteContext context(core, call, tx);
      return carry_out(service, context, act);
    });
    if (done) return resource::Gathered::of(*std::move(done));
    if (done.error().kind == ErrorKind::forbidden) {
      ledger::Entry entry;
      entry.time = call.now;
      entry.actor = call.principal.actor();
      entry.action = kModerateAction;
      entry.resource = call.id.text();
      entry.decision = ledger::Decision::denied;
      entry.reason = done.error().code;
      entry.request_id = call.request.request_id;
      core.ledger.note_denial(entry);
    }
    return std::unexpected(done.error());
  };
  route.read = [](const resource::Call& call, store::Reader&) -> Result<net::Response> {
    return resource::json_response(200, std::any_cast<const JsonObject&>(call.gathered));
  };
  return route;
}

}  // namespace

Result<JsonObject> Service::moderate(WriteContext& context, const Uuid& id) {
  Session session = TRY(moderated(context, id));
  const std::string caller = context.call.principal.object_id.text();
  if (caller == session.person.text() || caller == session.holder)
    return fail(ErrorKind::forbidden, "ModeratorIsSamePerson",
                "Nobody moderates a session of their own. Somebody else has to join it.");
  const Timestamp now = platform_.grants.now();
  const bool anew = !is_present(session, now) || session.moderator != caller;
  session.moderator = caller;
  session.moderator_name = context.call.principal.name;
  session.moderator_seen = now;
  context.tx.urgent();
  TRY(store::put(context.tx, platform_.core.tenant, session));
  if (anew) TRY(enter(context, session, "joined"));
  return session_json(session, now);
}

Result<JsonObject> Service::stop_moderating(WriteContext& context, const Uuid& id) {
  Session session = TRY(moderated(context, id));
  if (session.moderator_seen && session.moderator == context.call.principal.object_id.text()) {
    session.moderator_seen.reset();
    context.tx.urgent();
    TRY(store::put(context.tx, platform_.core.tenant, session));
    TRY(enter(context, session, "left"));
  }
  return session_json(session, platform_.grants.now());
}

// What this server's session is to be told, if that has changed.
std::optional<Notice> Service::moderation_of(const Session& session, Timestamp now) {
  if (!session.moderation) return std::nullopt;
  const bool present = is_present(session, now);
  const std::lock_guard lock(mutex_);
  const auto at = live_.find(session.id);
  if (at == live_.end() || !at->second.tell) return std::nullopt;
  Live& live = at->second;
  if (live.held && !present && now - live.held_since < kHeldMax) return std::nullopt;
  if (!live.held && present) return std::nullopt;
  if (live.held && !present)
    return Notice{.kind = Notice::Kind::end,
                  .reason = "ModeratorMissing",
                  .message = fmt::format("No moderator has joined for {}.", to_human_duration(kHeldMax))};
  if (live.held) {
    live.held = false;
    return Notice{.kind = Notice::Kind::warn,
                  .reason = "ModeratorJoined",
                  .message = fmt::format("{} has joined as the moderator and sees what you do.",
                                         session.moderator_name),
                  .hold = false};
  }
  if (*session.moderation == Moderation::end)
    return Notice{.kind = Notice::Kind::end, .reason = "ModeratorLeft", .message = "The moderator has left."};
  live.held = true;
  live.held_since = now;
  return Notice{.kind = Notice::Kind::warn,
                .reason = "ModeratorLeft",
                .message = "The moderator has left. Nothing passes until one is back.",
                .hold = true};
}

void add_moderation_routes(resource::Manager& resources, Service& service) {
  resources.add(moderation_route(service, "join",
                                 "Look on at a session that needs a moderator: again every few seconds",
                                 &Service::moderate));
  resources.add(moderation_route(service, "leave", "Look on no more", &Service::stop_moderating));
}

}  // namespace merlon::bastion
