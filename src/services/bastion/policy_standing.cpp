// What a bastion's session policies say now of a session that began under those of before: written or changed
// while it runs, they bind it as well. Whoever could not begin it like this any more is put out.
#include <fmt/format.h>

#include <algorithm>

#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

using resource::ResourceId;

Notice put_out(std::string message) {
  return {.kind = Notice::Kind::end, .reason = "SessionPolicyChanged", .message = std::move(message)};
}

// As it came in, but for the sign-in, which is looked at by itself.
WayIn way_of(const Session& session) {
  WayIn way;
  way.caller.object_id = session.person;
  way.caller.kind =
      session.is_person ? identity::PrincipalKind::user : identity::PrincipalKind::service_principal;
  way.caller.name = session.person_name;
  way.caller.address = session.client;
  way.transport = session.transport;
  way.ends_protocol = session.ends_protocol;
  way.can_hold = session.moderation.has_value();
  way.target = session.target_text;
  way.bastion = session.bastion_text;
  way.port = session.port;
  way.protocol = session.protocol;
  way.login = session.login;
  way.justification = session.justification;
  way.link_id = session.link;
  return way;
}

// What it has and could not be given any more; nothing when it may go on.
std::string beyond(const Session& session, const Limits& limits) {
  const Channels& had = session.channels;
  const Channels& may = limits.channels;
  const bool wider = (had.shell && !may.shell) || (had.commands && !may.commands) ||
                     (had.forwarding && !may.forwarding) || (had.upload && !may.upload) ||
                     (had.download && !may.download) || (had.clipboard && !may.clipboard);
  if (session.ends_protocol && wider) return "something that this session may do";
  if (limits.recording > session.recording) return "sessions that are not recorded as this one is";
  if (limits.moderation && (!session.moderation || *limits.moderation > *session.moderation))
    return "sessions without a moderator";
  return {};
}

}  // namespace

Result<std::vector<SessionPolicy>> Service::concerning(store::Reader& reader,
                                                       const std::vector<SessionPolicy>& all,
                                                       const WayIn& way, const Host& host,
                                                       const ResourceId& target) {
  std::vector<SessionPolicy> found;
  if (all.empty()) return found;
  Concerned who;
  who.target = target;
  who.principals = TRY(platform_.core.access.principal_and_groups(reader, way.caller.object_id));
  for (const ResourceId& scope : {host.id, target})
    for (const access::RoleAssignment& assignment :
         TRY(platform_.core.access.assignments(reader, scope.text(), access::Access::Reach::at_and_above)))
      if (std::ranges::find(who.principals, assignment.principal_id) != who.principals.end())
        who.roles.insert(assignment.role_definition_id);
  for (const SessionPolicy& policy : all)
    if (concerns(policy, who, way)) found.push_back(policy);
  return found;
}

Result<Service::Standing> Service::standing_of(store::Reader& reader, const Session& session, Look& look) {
  Standing standing{.end = {}, .lasts_until = session.lasts_until};
  const ResourceId id = TRY(ResourceId::parse(session.bastion_text));
  auto known = look.policies.find(session.bastion);
  if (known == look.policies.end()) {
    known = look.policies.emplace(session.bastion, TRY(policies(reader, id))).first;
    look.hosts.emplace(session.bastion, TRY(host(reader, id)));
  }
  const Host& host = look.hosts.at(session.bastion);
  const ResourceId target = TRY(ResourceId::parse(session.target_text));
  const WayIn way = way_of(session);
  const auto concerned = TRY(concerning(reader, known->second, way, host, target));
  const auto limits = apply(concerned, host, way, target);
  if (!limits) {
    standing.end = put_out(limits.error().message);
    return standing;
  }
  if (const std::string what = beyond(session, *limits); !what.empty()) {
    standing.end =
        put_out("The bastion's session policies were changed, and do not allow " + what + ". Connect again.");
    return standing;
  }
  for (const SessionPolicy& policy : concerned) {
    const bool is_asked = policy.mfa_within && (session.is_person || !session.link.empty());
    if (is_asked && session.factor_age.value_or(Duration::max()) > *policy.mfa_within)
      standing.end =
          put_out(fmt::format("The session policy '{}' asks for a sign-in with a second factor that was "
                              "newer than yours. Sign in again (merlon login --fresh).",
                              policy.name));
  }
  if (limits->lasts_max)
    standing.lasts_until =
        std::min(standing.lasts_until.value_or(Timestamp::max()), session.start + *limits->lasts_max);
  // Where nothing is said any more, it stays what it was when the session began.
  standing.keeps_after_grant =
      limits->keeps_after_grant || std::ranges::none_of(concerned, [](const SessionPolicy& policy) {
        return policy.keeps_after_grant.has_value() && !*policy.keeps_after_grant;
      });
  return standing;
}

}  // namespace merlon::bastion
