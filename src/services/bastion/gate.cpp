// The gate: the one place that says whether somebody comes in. Everything is judged in the transaction that
// registers the session and, where the machine has a just-in-time policy, opens the port: what held a moment
// ago does not count.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "identity/second_factor_sign_in.h"
#include "identity/sessions.h"
#include "net/fetch.h"
#include "resource/step_up.h"
#include "services/bastion/logins.h"
#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

using identity::Principal;
using resource::ResourceId;
using resource::WriteContext;

constexpr size_t kUserAgentMax = 200;
constexpr size_t kLoginMax = 64;

std::unexpected<Error> lacks(const Host& host, std::string_view what, std::string_view remedy) {
  return fail(ErrorKind::forbidden, "BastionFeatureNotEnabled",
              fmt::format("The bastion '{}' ({}) {}. {}", host.id.name(), sku_text(host.sku), what, remedy),
              host.id.text());
}

// What the ledger says of a session that begins.
JsonObject start_details(const Session& session, const IpAddress& source) {
  JsonObject details = {{"session", session.id.text()},
                        {"bastion", session.bastion_text},
                        {"protocol", protocol_text(session.protocol)},
                        {"transport", transport_text(session.transport)},
                        {"address", session.address.text()},
                        {"port", session.port},
                        {"source", source.text()},
                        {"reachedBy", session.by_agent ? "agent" : "bastion"},
                        {"recording", recording_text(session.recording)}};
  if (session.signed_in_by) details["signedInBy"] = signed_in_by_text(*session.signed_in_by);
  if (!session.login.empty()) details["login"] = session.login;
  if (session.moderation) details["moderation"] = *session.moderation == Moderation::end ? "end" : "pause";
  if (session.deadline) details["until"] = to_rfc3339(*session.deadline);
  if (!session.grant.empty()) details["opening"] = session.grant;
  if (!session.link.empty()) details["link"] = session.link;
  if (!session.holder_name.empty()) {
    details["holder"] = session.holder_name;
    details["holderId"] = session.holder;
  }
  return details;
}

// What the SKU has, and what of it is switched on (docs/bastion.md, SKUs).
Result<void> check_features(const Host& host, const WayIn& way, const Target& target) {
  const bool standard = host.sku >= Sku::standard;
  const bool native = way.transport == Transport::tunnel || way.transport == Transport::plain_ssh;
  if (native && host.sku == Sku::basic)
    return lacks(host, "takes no native client", "Connect from the browser, or upgrade it to Standard.");
  if (native && standard && !host.tunneling)
    return lacks(host, "has native clients switched off",
                 "Whoever looks after it can switch 'enableTunneling' on.");
  if (way.transport == Transport::link && !(standard && host.shareable_link))
    return lacks(host, "has shareable links switched off",
                 "Whoever looks after it can switch 'enableShareableLink' on (Standard or Premium).");
  const uint16_t usual = way.protocol == Protocol::rdp ? kRdpPort : kSshPort;
  const bool custom = way.port != usual && !(way.protocol == Protocol::tcp && way.port == kRdpPort);
  if (!standard && custom)
    return lacks(host, fmt::format("reaches no other ports than {} and {}", kSshPort, kRdpPort),
                 "Upgrade it to Standard for others.");
  const bool windows = ascii_iequal(target.system, "Windows");
  const bool crossed = way.protocol == Protocol::ssh ? windows : way.protocol == Protocol::rdp && !windows;
  if (!standard && target.is_machine && crossed)
    return lacks(host,
                 fmt::format("takes {} to {} machines only", protocol_text(way.protocol),
                             way.protocol == Protocol::ssh ? "Linux" : "Windows"),
                 "Upgrade it to Standard for others.");
  return {};
}

Result<void> check_client(const Host& host, const IpAddress& client) {
  if (host.private_only && net::is_public_address(client))
    return fail(
        ErrorKind::forbidden, "BastionPrivateOnly",
        fmt::format("The bastion '{}' is private: nobody comes in from a public address, and you come "
                    "from {}. Connect from inside its network.",
                    host.id.name(), client.text()));
  if (!host.clients.empty() &&
      std::ranges::none_of(host.clients, [&](const IpPrefix& prefix) { return prefix.contains(client); }))
    return fail(ErrorKind::forbidden, "BastionClientNotAllowed",
                fmt::format("The bastion '{}' lets nobody in from {}: its network rules (networkAcls) do not "
                            "name that address.",
                            host.id.name(), client.text()));
  return {};
}

Result<void> check_form(const WayIn& way) {
  if (way.port == 0)
    return fail(ErrorKind::invalid, "InvalidPort", "The port must be between 1 and 65535.", "port");
  const auto plain = [](char c) { return c > ' ' && c < 0x7f; };
  if (way.login.size() > kLoginMax || !std::ranges::all_of(way.login, plain))
    return fail(ErrorKind::invalid, "InvalidLogin",
                "A login has at most 64 printable characters without spaces.", "login");
  return {};
}

bool is_fresh(const Principal& caller, Duration age, Timestamp now) {
  return std::ranges::find(caller.amr, identity::kMfa) != caller.amr.end() && now - caller.auth_time <= age;
}

}  // namespace

// In the order of what a refusal tells: rights come before anything about the bastion or the machine.
Result<Judged> Service::judge(WriteContext& context, const WayIn& way, bool open) {
  TRY(check_form(way));
  Judged judged;
  if (!way.link_id.empty()) judged.link = TRY(valid_link(context.tx, way, context.call.now));
  std::optional<Host> named;
  if (!way.bastion.empty()) {
    named = TRY(host_named(context.tx, way.bastion));
    if (!named || !TRY(may_read(context.tx, way.caller, kHostRead, named->id.text())))
      return fail(ErrorKind::not_found, "BastionNotFound",
                  "There is no bastion '" + way.bastion.substr(0, 300) +
                      "' that you may use. 'merlon bastion list' shows them.");
    if (way.target.starts_with('/') && ResourceId::parse(way.target) &&
        ascii_iequal(ResourceId::parse(way.target)->type(), kIpConnectType)) {
      if (named->sku < Sku::standard || !named->ip_connect)
        return lacks(*named, "does not connect to plain addresses",
                     "Name the machine, or let 'enableIpConnect' be switched on (Standard or Premium).");
      if (way.port != kSshPort && way.port != kRdpPort)
        return lacks(*named,
                     fmt::format("connects to plain addresses at ports {} and {} only", kSshPort, kRdpPort),
                     "Name the machine for other ports.");
    }
  }
  judged.target = TRY(find_target(context.tx, way, named));
  judged.host = named ? *named : TRY(find_host(context.tx, way, judged.target));
  const auto place = TRY(place_in_reach(context.tx, judged.host, judged.target));
  if (!place)
    return fail(ErrorKind::forbidden, "TargetNotCovered",
                fmt::format("The bastion '{}' does not serve the network of '{}': the machine must be in its "
                            "virtual network{}.",
                            judged.host.id.name(), judged.target.id.name(),
                            judged.host.sku == Sku::developer ? "" : " or in one that is peered with it"));
  judged.place = *place;
  TRY(check_rights(context, judged));
  if (judged.link)
    TRY(check_link_login(context.tx, way.caller, judged.link->maker_name, judged.link->login, judged.target));
  TRY(check_client(judged.host, way.caller.address));
  TRY(check_features(judged.host, way, judged.target));
  TRY(check_sign_in(context, way, judged));
  judged.limits = TRY(limits_of(context, way, judged));
  if (open || way.transport != Transport::link) TRY(check_room(context.tx, judged, way));
  if (open) TRY(open_way(context, way, judged));
  return judged;
}

// Azure's readers: of the machine, of the interface with its address, of the bastion; of the network too,
// where it is another's.
Result<void> Service::check_rights(WriteContext& context, const Judged& judged) {
  TRY(context.require(kHostRead, judged.host.id.text()));
  if (judged.target.is_machine) {
    TRY(context.require(kMachineRead, judged.target.id.text()));
    TRY(context.require(kInterfaceRead, judged.place.nic.text()));
  }
  if (!judged.target.is_machine || judged.place.network != judged.host.network)
    TRY(context.require(kNetworkRead, judged.place.network));
  return {};
}

// Whoever signed in must still be there, and step-up policies may ask for a fresh second factor.
Result<void> Service::check_sign_in(WriteContext& context, const WayIn& way, const Judged& judged) {
  const Principal& caller = way.caller;
  const bool by_key = way.transport == Transport::plain_ssh || judged.link;
  const identity::PastSignIn sign_in{
      .principal = caller.object_id,
      .is_person = caller.kind == identity::PrincipalKind::user,
      .session_id = caller.session_id,
      .stamp = judged.link
                   ? judged.link->stamp
                   : TRY(identity::session_stamp(context.tx, platform_.core.tenant, caller.object_id))};
  const bool nameless = sign_in.is_person && sign_in.session_id.empty() && !by_key;
  if (nameless || !TRY(identity::still_holds(context.tx, platform_.core.directory, sign_in)))
    return fail(ErrorKind::unauthenticated, "SignInEnded",
                "Your sign-in has ended, or your account is disabled. Sign in again: 'merlon login'.");
  const std::string scope = judged.target.is_machine ? judged.target.id.text() : judged.host.id.text();
  const access::Question question{.action = std::string(kHostRead), .scope = judged.host.id.text()};
  const access::Decision decision = TRY(platform_.core.access.check(context.tx, caller, question));
  const auto need =
      TRY(resource::StepUps(platform_.core).missing(context.tx, caller, kStartAction, scope, decision));
  if (need) return std::unexpected(resource::step_up_needed(*need, kStartAction, scope));
  return {};
}

Result<Limits> Service::limits_of(WriteContext& context, const WayIn& way, const Judged& judged) {
  const auto all = TRY(policies(context.tx, judged.host.id));
  const auto concerned = TRY(concerning(context.tx, all, way, judged.host, judged.target.id));
  const Limits limits = TRY(apply(concerned, judged.host, way, judged.target.id));
  for (const SessionPolicy& policy : concerned) {
    const bool is_program = way.caller.kind != identity::PrincipalKind::user && !judged.link;
    if (!policy.mfa_within || is_program || is_fresh(way.caller, *policy.mfa_within, context.call.now))
      continue;
    const resource::StepUpNeed need{.policy_id = policy.id, .age_max = *policy.mfa_within};
    return std::unexpected(resource::step_up_needed(need, kStartAction, judged.target.id.text()));
  }
  return limits;
}

// Counted among the rows of this very transaction: a hundred at once are admitted one after another.
Result<void> Service::check_room(store::Reader& reader, const Judged& judged, const WayIn& way) {
  const size_t most = sessions_max(judged.host, way.protocol);
  const std::string index =
      Session::class_key(judged.host.id.key(), session_class(judged.host, way.protocol));
  const size_t running = TRY(reader.find(Session::table(), platform_.core.tenant, "class", index)).size();
  if (running < most) return {};
  return fail(
      ErrorKind::throttled, "BastionSessionLimitReached",
      fmt::format("The bastion '{}' has {} {}sessions at once, and as many are running. Wait for one to "
                  "end{}.",
                  judged.host.id.name(), most,
                  judged.host.sku == Sku::developer ? ""
                  : way.protocol == Protocol::rdp   ? "RDP "
                                                    : "SSH ",
                  judged.host.sku >= Sku::standard ? ", or let its scale units be raised"
                                                   : ", or upgrade the bastion"));
}

// The machine's own door: opened for this server's address alone where a just-in-time policy guards it, and
// asked of the security groups where none does.
Result<void> Service::open_way(WriteContext& context, const WayIn& way, Judged& judged) {
  judged.by_agent = TRY(goes_by_agent(context.tx, judged));
  // Whom the agent leads comes from the machine itself: for nobody else is anything opened.
  const auto source = judged.by_agent ? std::optional<IpAddress>(judged.place.address)
                                      : parameters_.source_for(judged.place.address);
  if (!source)
    return fail(ErrorKind::unavailable, "NoRouteToMachine",
                fmt::format("The server has no route to {} ('{}').", judged.place.address.text(),
                            judged.target.id.name()));
  judged.source = *source;
  // Nobody reaches the server itself by describing a machine that has its address.
  const IpAddress& to = judged.place.address;
  if (to.is_loopback() || to.is_link_local() || to.is_multicast() || to.is_unspecified() ||
      (to == *source && !judged.by_agent))
    return fail(ErrorKind::forbidden, "InvalidTarget",
                fmt::format("{} is the bastion's own address, or none that a machine can have.", to.text()));
  if (!judged.by_agent) TRY(check_reach(context.tx, judged));
  if (!judged.target.is_machine) return {};
  const jit::PortAccessRequest request{.vm = judged.target.id,
                                       .port = way.port,
                                       .source = *source,
                                       .justification = way.justification,
                                       .lasts = judged.limits.lasts_max};
  judged.opening = TRY(jit_.port_access(context, request));
  if (judged.opening) return {};
  machine::Flow flow;
  flow.protocol = machine::Protocol::tcp;
  flow.source = *source;
  flow.destination = judged.place.address;
  flow.source_port = 50'000;
  flow.destination_port = way.port;
  const auto answer = TRY(network_.verify_flow(context.tx, judged.target.id, flow, judged.place.nic.text()));
  if (answer.access == machine::Access::allow) return {};
  return fail(
      ErrorKind::forbidden, "BlockedBySecurityGroup",
      fmt::format("The security rule '{}' keeps the bastion's address {} from port {} of '{}'. Allow it "
                  "in the machine's security group, or guard the port by a just-in-time policy.",
                  answer.rule_name, source->text(), way.port, judged.target.id.name()));
}

Result<bool> Service::has_data_right(store::Reader& reader, const Principal& caller, std::string_view action,
                                     std::string_view scope) {
  const access::Question question{
      .action = std::string(action), .scope = std::string(scope), .kind = access::ActionKind::data};
  return TRY(platform_.core.access.check(reader, caller, question)).allowed;
}

Result<Session> Service::session_of(WriteContext& context, const WayIn& way, const Judged& judged) {
  const Timestamp now = platform_.grants.now();
  Session session;
  session.id = Uuid::generate(platform_.core.random);
  session.bastion = judged.host.id.key();
  session.bastion_text = judged.host.id.text();
  session.session_class = session_class(judged.host, way.protocol);
  session.target = judged.target.id.key();
  session.target_text = judged.target.id.text();
  session.target_name = judged.target.id.name();
  session.address = judged.place.address;
  session.by_agent = judged.by_agent;
  session.port = way.port;
  session.protocol = way.protocol;
  session.transport = way.transport;
  session.signed_in_by = way.signed_in_by;
  session.login = way.login;
  session.logins = judged.limits.logins;
  session.person = way.caller.object_id;
  session.is_person = way.caller.kind == identity::PrincipalKind::user;
  session.person_name = way.caller.name;
  session.sign_in = way.caller.session_id;
  session.stamp = judged.link
                      ? judged.link->stamp
                      : TRY(identity::session_stamp(context.tx, platform_.core.tenant, way.caller.object_id));
  session.client = way.caller.address;
  session.client_port = way.client_port;
  session.user_agent = identity::kept_user_agent(way.user_agent).substr(0, kUserAgentMax);
  session.link = way.link_id;
  if (way.holder) {
    session.holder = way.holder->object_id.text();
    session.holder_name = way.holder->name;
  }
  session.start = now;
  session.ends_protocol = way.ends_protocol;
  session.channels = judged.limits.channels;
  session.justification = way.justification;
  if (std::ranges::find(way.caller.amr, identity::kMfa) != way.caller.amr.end())
    session.factor_age = std::max(Duration(0), context.call.now - way.caller.auth_time);
  session.keep_after_grant = judged.limits.keeps_after_grant;
  session.recording = judged.limits.recording;
  session.moderation = judged.limits.moderation;
  session.server = server_;
  session.correlation = context.call.correlation_id;
  if (judged.limits.lasts_max) session.lasts_until = now + *judged.limits.lasts_max;
  if (judged.link)
    session.lasts_until = std::min(session.lasts_until.value_or(Timestamp::max()), judged.link->expires);
  session.deadline = session.lasts_until;
  if (judged.opening) {
    session.grant = judged.opening->grant.text();
    session.grant_own = judged.opening->own;
    if (!session.keep_after_grant && (!session.deadline || judged.opening->deadline < *session.deadline))
      session.deadline = judged.opening->deadline;
  }
  return session;
}

Result<Admission> Service::register_session(WriteContext& context, const WayIn& way, const Judged& judged) {
  if (way.transport == Transport::link && !judged.link)
    return internal_error("a session by no shareable link");
  if (judged.link) TRY(use_link(context, *judged.link));
  const Session session = TRY(session_of(context, way, judged));
  TRY(store::put(context.tx, platform_.core.tenant, session));
  TRY(store::put(context.tx, platform_.core.tenant, CarryingServer{.id = server_, .seen = session.start}));
  TRY(context.record(kStartAction, session.target_text, start_details(session, judged.source)));
  const auto machine = TRY(platform_.machines.by_resource(context.tx, session.target_text));
  Admission admission{.session = session.id,
                      .bastion_id = session.bastion_text,
                      .bastion_dns_name = judged.host.dns_name,
                      .target_id = session.target_text,
                      .machine_id = machine ? machine->id.text() : std::string(),
                      .address = session.address,
                      .port = session.port,
                      .protocol = session.protocol,
                      .signed_in_by = way.signed_in_by,
                      .login = session.login,
                      .logins = session.logins,
                      .channels = judged.limits.channels,
                      .recording = session.recording,
                      .recording_kept = judged.limits.kept,
                      .start = session.start,
                      .deadline = session.deadline,
                      .idle_max = judged.limits.idle_max};
  if (session.moderation)
    admission.held_because =
        fmt::format("this session begins when a moderator has joined it (merlon bastion session join {}).",
                    session.id.text());
  // A link gives the one login that it is for, which judge() has asked about, and no other that its maker
  // has.
  admission.login_is_by_link = judged.link && !judged.link->login.empty();
  if (judged.target.is_machine && !judged.link) TRY(set_logins(platform_.core, context.tx, way, admission));
  context.tx.after_commit(
      [this, id = session.id, held = session.moderation.has_value(), now = session.start] {
        const std::lock_guard lock(mutex_);
        Live& live = live_.try_emplace(id).first->second;
        live.held = held;
        live.held_since = now;
      });
  return admission;
}

Result<void> Service::as_caller(const WayIn& way, const std::function<Result<void>(WriteContext&)>& work) {
  net::Request request;
  request.method = "CONNECT";
  request.request_id = Uuid::generate(platform_.core.random).text();
  request.peer = way.caller.address;
  const resource::Call call{.request = request,
                            .parameters = {},
                            .id = {},
                            .body = {},
                            .principal = way.caller,
                            .tenant = platform_.core.tenant,
                            .now = platform_.core.clock.now(),
                            .origin = "https://" + platform_.core.domain,
                            .api_version = {},
                            .correlation_id = request.request_id,
                            .gathered = {}};
  const auto done = platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    WriteContext context(platform_.core, call, tx);
    context.justification = way.justification;
    return work(context);
  });
  if (!done) TRY(enter_refusal(way, done.error()));
  return done;
}

Result<Admission> Service::admit(const WayIn& way) {
  std::optional<Admission> admission;
  const auto done = as_caller(way, [&](WriteContext& context) -> Result<void> {
    const Judged judged = TRY(judge(context, way, true));
    admission = TRY(register_session(context, way, judged));
    return {};
  });
  if (done) return *std::move(admission);
  // What its maker lacks is for the ledger, where it has been entered, and not for whoever holds a link.
  const Error& error = done.error();
  const bool maker_lacks = error.kind == ErrorKind::not_found || error.code == "LinkedAuthorizationFailed" ||
                           error.code == "SignInEnded" || error.code == "LoginNotAllowed";
  if (!way.link_id.empty() && maker_lacks)
    return fail(
        ErrorKind::forbidden, "LinkMakerLacksRight",
        "This link does not work: whoever made it may not reach the machine any more. Ask for another "
        "from somebody who may.");
  return std::unexpected(error);
}

Result<void> Service::name_login(const Uuid& id, const std::string& login) {
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    auto session = TRY(store::get<Session>(tx, platform_.core.tenant, id.text()));
    if (!session || session->ended)
      return fail(ErrorKind::conflict, "SessionEnded", "The session has ended already.");
    WayIn way;
    way.login = login;
    TRY(check_form(way));
    const bool fits =
        !session->logins || std::ranges::find(*session->logins, login) != session->logins->end();
    if (!fits)
      return fail(ErrorKind::forbidden, "SessionPolicyViolation",
                  fmt::format("The bastion's session policies do not let you log in as '{}'. They name: {}.",
                              login, some_of(*session->logins)));
    session->login = login;
    TRY(store::put(tx, platform_.core.tenant, *session));
    return platform_.resources.as_system(tx, "BastionSession", [&](WriteContext& context) {
      return context.record("Merlon.Bastion/sessions/login/action", session->target_text,
                            {{"session", id.text()}, {"login", login}, {"user", session->person_name}});
    });
  });
}

// Whoever lacks a right is counted by the minute (trust.md, Ledger); what fails although they have it is
// entered one by one.
Result<void> Service::enter_refusal(const WayIn& way, const Error& error) {
  if (error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable) return {};
  ledger::Entry entry;
  entry.time = platform_.core.clock.now();
  entry.actor = way.caller.actor();
  entry.action = kStartAction;
  entry.resource =
      way.target.starts_with('/') ? way.target.substr(0, 512) : "/machines/" + way.target.substr(0, 64);
  entry.reason = error.code;
  entry.justification = way.justification;
  entry.details = {{"message", error.message.substr(0, 1024)},
                   {"transport", transport_text(way.transport)},
                   {"port", way.port}};
  const bool counted = error.kind == ErrorKind::forbidden || error.kind == ErrorKind::unauthenticated ||
                       error.kind == ErrorKind::not_found;
  entry.decision = counted ? ledger::Decision::denied : ledger::Decision::failed;
  if (counted) {
    platform_.core.ledger.note_denial(entry);
    return {};
  }
  return platform_.core.store.write(
      [&](store::Transaction& tx) { return platform_.core.ledger.append(tx, entry); });
}

}  // namespace merlon::bastion
