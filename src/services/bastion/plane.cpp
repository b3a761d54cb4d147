// The data plane as `az network bastion tunnel|ssh|rdp` uses it (azure-cli-extensions, src/bastion:
// tunnel.py, custom.py, developer_sku_helper.py). Everything is judged when tokens are given, and again, with
// all that it changes, when one is redeemed. Refusals are {"message": …}: the client shows that and nothing
// else.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "base/text.h"
#include "resource/request_checks.h"
#include "services/bastion/service.h"
#include "services/bastion/tokens.h"

namespace merlon::bastion {
namespace {

using resource::WriteContext;

constexpr size_t kTokensMax = 200;  // of one person that wait to be used
constexpr auto kDialTimeout = std::chrono::seconds(15);

std::string_view name_of_host(std::string_view host) { return host.substr(0, host.rfind(':')); }

net::Response message_response(const Error& error) {
  const bool ours = error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable;
  if (ours) log_error("a request to a bastion failed", error);
  net::Response response = resource::json_response(net::http_status(error.kind),
                                                   {{"message", error.message}, {"code", error.code}});
  if (error.kind == ErrorKind::throttled || error.kind == ErrorKind::unavailable)
    response.headers.set("Retry-After", "2");
  return response;
}

bool is_path(const net::Request& request, std::initializer_list<std::string_view> segments) {
  return std::ranges::equal(request.segments, segments,
                            [](const std::string& a, std::string_view b) { return ascii_iequal(a, b); });
}

Result<uint16_t> read_port(std::string_view text) {
  const bool digits =
      !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string_view::npos;
  const int number = digits ? std::stoi(std::string(text)) : 0;
  if (number < 1 || number > 65535)
    return fail(ErrorKind::invalid, "InvalidPort", "The port must be a number between 1 and 65535.");
  return static_cast<uint16_t>(number);
}

Protocol protocol_at(uint16_t port) {
  return port == kSshPort ? Protocol::ssh : port == kRdpPort ? Protocol::rdp : Protocol::tcp;
}

std::string form_text(const net::Query& form, std::string_view name) {
  const std::string* value = form.find(name);
  return value == nullptr ? std::string() : *value;
}

// What the session is told of its end, for when the tunnel has ended by that.
struct CutReason {
  std::mutex mutex;
  std::string reason, message;
};

}  // namespace

bool Service::handles(const net::Request& request) const {
  const std::string suffix = ".bastion." + ascii_lower(platform_.core.domain);
  return request.plane == net::Plane::control && name_of_host(request.host).ends_with(suffix);
}

Result<std::string> Service::plane_host(const net::Request& request) {
  const auto host = TRY(store::read_value<std::optional<Host>>(
      platform_.core.store, [&](store::Reader& reader) { return host_named(reader, request.host); }));
  if (host) return host->id.text();
  return fail(ErrorKind::not_found, "BastionNotFound", "There is no bastion at this address.");
}

net::Response Service::handle(const net::Request& request) {
  const auto answer = [&]() -> Result<net::Response> {
    if (is_path(request, {"api", "tokens"}) && request.method == "POST")
      return resource::json_response(200, TRY(give_tokens(request)));
    if (request.segments.size() == 3 && ascii_iequal(request.segments[0], "api") &&
        ascii_iequal(request.segments[1], "tokens") && request.method == "DELETE") {
      TRY(forget_token(request, request.segments[2]));
      return resource::empty_response(204);
    }
    if (request.segments.size() == 3 && ascii_iequal(request.segments[0], "api") &&
        ascii_iequal(request.segments[1], "shareable-url") && request.method == "GET")
      return open_link(request);
    if (is_path(request, {"api", "connection"}) && request.method == "POST") {
      net::Response response;
      response.headers.set("Content-Type", "text/plain; charset=utf-8");
      response.body = TRY(connection_host(request));
      return response;
    }
    if (is_path(request, {"api", "rdpfile"}) && request.method == "GET") {
      net::Response response;
      response.headers.set("Content-Type", "application/x-rdp");
      response.body = TRY(rdp_file(request));
      return response;
    }
    return fail(ErrorKind::not_found, "NotFound", "There is nothing at this address of a bastion.");
  }();
  net::Response response = answer ? *answer : message_response(answer.error());
  response.headers.set("Cache-Control", "no-store");
  return response;
}

// Who asks, from where, for what. The token is that of the Resource Manager, as the client has it.
Result<WayIn> Service::asked_way(store::Reader& reader, const net::Request& request,
                                 const std::string& access_token, const std::string& target,
                                 const std::string& port) {
  WayIn way;
  way.caller = TRY(platform_.core.issuer.authenticate(reader, "Bearer " + access_token, request.peer));
  way.user_agent = request.headers.value_or("User-Agent", "");
  way.transport = Transport::tunnel;
  way.port = TRY(read_port(port));
  way.protocol = protocol_at(way.port);
  if (!target.starts_with('/'))
    return fail(ErrorKind::invalid, "InvalidTarget",
                "'resourceId' must be the resource id of a virtual machine.");
  way.target = target;
  return way;
}

// Whether somebody ends SSH inside the tunnel: where sessions are recorded, and where a policy for this
// person limits what nobody sees in an opaque one. What cannot be found here judge() refuses with a sentence.
bool Service::ends_ssh(store::Reader& reader, const WayIn& way) {
  if (!ssh_end_ || way.protocol != Protocol::ssh) return false;
  const auto host = host_named(reader, way.bastion);
  if (!host || !*host) return false;
  if ((*host)->recording) return true;
  const auto all = policies(reader, (*host)->id);
  if (!all || std::ranges::none_of(*all, limits_inside)) return false;
  const auto target = find_target(reader, way, *host);
  if (!target) return false;
  const auto concerned = concerning(reader, *all, way, **host, target->id);
  return concerned && std::ranges::any_of(*concerned, limits_inside);
}

Result<JsonObject> Service::give_tokens(const net::Request& request) {
  const std::string bastion = TRY(plane_host(request));
  const net::Query form = TRY(net::parse_form(request.body));
  const std::string again = form_text(form, "token");
  WayIn way = TRY(store::read_value<WayIn>(platform_.core.store, [&](store::Reader& reader) -> Result<WayIn> {
    WayIn asked = TRY(asked_way(reader, request, form_text(form, "aztoken"), form_text(form, "resourceId"),
                                form_text(form, "workloadHostPort")));
    asked.bastion = bastion;
    asked.ends_protocol = asked.can_hold = ends_ssh(reader, asked);
    return asked;
  }));
  const std::string auth = again.empty() ? new_token(platform_.core.random) : again;
  const std::string websocket = new_token(platform_.core.random);
  JsonObject answer = {
      {"authToken", auth}, {"nodeId", server_}, {"websocketToken", websocket}, {"username", way.caller.name}};
  // Beyond Azure's answer: whose host key a client sees in the tunnel, and who asks for no key of the
  // person's.
  answer["sshEndsAt"] = way.ends_protocol ? "bastion" : "machine";
  TRY(as_caller(way, [&](WriteContext& context) -> Result<void> {
    const Judged judged = TRY(judge(context, way, false));
    const TenantId& tenant = platform_.core.tenant;
    TunnelToken token;
    token.digest = token_digest(auth);
    token.bastion = judged.host.id.key();
    const auto known = TRY(store::get<TunnelToken>(context.tx, tenant, token.digest));
    const bool fits = known && known->expires > context.call.now && known->bastion == token.bastion &&
                      known->way.caller.object_id == way.caller.object_id &&
                      ascii_iequal(known->way.target, way.target) && known->way.port == way.port;
    if (!again.empty() && !fits)
      return fail(
          ErrorKind::forbidden, "TokenNotValid",
          "The token of the earlier connection is not good for this person, machine and port. Connect "
          "anew.");
    if (known) token.sessions = known->sessions;
    token.websocket = token_digest(websocket);
    token.websocket_until = context.call.now + kWebsocketTokenLife;
    token.expires = context.call.now + kAuthTokenLife;
    token.way = way;
    return keep_token(context, token);
  }));
  return answer;
}

Result<void> Service::keep_token(WriteContext& context, const TunnelToken& token) {
  const TenantId& tenant = platform_.core.tenant;
  const std::string person = token.way.caller.object_id.text();
  if (TRY(context.tx.find(TunnelToken::table(), tenant, "person", person)).size() >= kTokensMax)
    return fail(ErrorKind::throttled, "TooManyTokens",
                "Too many connections were asked for and not closed. Wait, or close some.");
  return store::put(context.tx, tenant, token);
}

// Whoever has the authToken may end what came of it.
Result<void> Service::forget_token(const net::Request& request, const std::string& token) {
  const std::string bastion = TRY(plane_host(request));
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    const auto known = TRY(store::get<TunnelToken>(tx, platform_.core.tenant, token_digest(token)));
    if (!known || known->bastion != ascii_lower(bastion))
      return fail(ErrorKind::not_found, "TokenNotFound", "There is no such token.");
    TRY(store::erase<TunnelToken>(tx, platform_.core.tenant, known->digest));
    return platform_.resources.as_system(
        tx, "BastionTokenDeleted", [&](WriteContext& context) -> Result<void> {
          for (const std::string& session : known->sessions)
            if (const auto id = Uuid::parse(session)) TRY(disconnect(context, *id, "ClientDisconnected"));
          return context.record("Merlon.Bastion/tokens/delete", known->way.target,
                                {{"bastion", bastion}, {"user", known->way.caller.name}});
        });
  });
}

// Developer: the client asks where to go; it is here.
Result<std::string> Service::connection_host(const net::Request& request) {
  const std::string bastion = TRY(plane_host(request));
  const JsonObject body = TRY(resource::parse_body(request));
  const auto port = body.contains("vmPort") && body.at("vmPort").is_int64()
                        ? std::to_string(int_at(body, "vmPort").value_or(0))
                        : string_at(body, "vmPort").value_or("");
  WayIn way = TRY(store::read_value<WayIn>(platform_.core.store, [&](store::Reader& reader) {
    return asked_way(reader, request, string_at(body, "azToken").value_or(""),
                     string_at(body, "resourceId").value_or(""), port);
  }));
  way.bastion = bastion;
  TRY(as_caller(way, [&](WriteContext& context) -> Result<void> {
    TRY(judge(context, way, false));
    return {};
  }));
  return request.host;
}

std::expected<net::TunnelPlan, net::Response> Service::upgrade(const net::Request& request) {
  const auto plan = [&]() -> Result<net::TunnelPlan> {
    const auto& segments = request.segments;
    const bool plain = segments.size() == 2 && ascii_iequal(segments[0], "webtunnelv2");
    const bool omni =
        segments.size() == 3 && ascii_iequal(segments[0], "omni") && ascii_iequal(segments[1], "webtunnel");
    if (plain || omni)
      return redeem({.bastion = TRY(plane_host(request)), .token = segments.back(), .peer = request.peer});
    if (is_path(request, {"remoteDesktopGateway"})) return gateway(request, TRY(plane_host(request)));
    return fail(ErrorKind::not_found, "NotFound", "There is no WebSocket at this address of a bastion.");
  }();
  if (plan) return *plan;
  return std::unexpected(message_response(plan.error()));
}

// The token is used up whatever comes of it, but for a gateway's; then everything is judged as at first, and
// now it counts.
Result<net::TunnelPlan> Service::redeem(const Redemption& redemption) {
  const TenantId& tenant = platform_.core.tenant;
  auto used = TRY(store::write_value<TunnelToken>(
      platform_.core.store, [&](store::Transaction& tx) -> Result<TunnelToken> {
        auto found = TRY(store::find<TunnelToken>(tx, tenant, "websocket", token_digest(redemption.token)));
        const Timestamp now = platform_.core.clock.now();
        if (found.empty() || found.front().bastion != ascii_lower(redemption.bastion) ||
            found.front().is_for_gateway != redemption.is_for_gateway || found.front().websocket_until <= now)
          return fail(ErrorKind::unauthenticated, "TokenNotValid",
                      "The token is not known here, was used already, or is too old. Ask for a new one.");
        if (!redemption.is_for_gateway) {
          found.front().websocket.clear();
          TRY(store::put(tx, tenant, found.front()));
        }
        return found.front();
      }));
  WayIn way = used.way;
  way.caller.address = redemption.peer;
  way.bastion = redemption.bastion;
  std::optional<Admission> admission;
  bool opened = false, by_agent = false;
  TRY(as_caller(way, [&](WriteContext& context) -> Result<void> {
    way.ends_protocol = way.can_hold = ends_ssh(context.tx, way);
    const Judged judged = TRY(judge(context, way, true));
    if (redemption.check) TRY(redemption.check(used, judged));
    opened = judged.opening.has_value();
    by_agent = judged.by_agent;
    admission = TRY(register_session(context, way, judged));
    auto current = TRY(store::get<TunnelToken>(context.tx, tenant, used.digest));
    if (!current)
      return fail(ErrorKind::unauthenticated, "TokenNotValid", "The token was deleted. Ask for a new one.");
    if (TRY(was_told_to_end(context.tx, *current)))
      return fail(ErrorKind::unauthenticated, "TokenNotValid",
                  "A session of this token was ended by somebody else. Ask for a new one.");
    current->sessions.push_back(admission->session.text());
    return store::put(context.tx, tenant, *current);
  }));
  net::TunnelPlan plan = plan_for(*admission, opened);
  if (way.ends_protocol) plan.idle_max.reset();  // whoever ends SSH in it looks at that
  if (!way.ends_protocol && !by_agent) return plan;
  const auto descriptor = way.ends_protocol ? ssh_end_(*admission) : reach_by_agent(*admission);
  if (!descriptor) {
    TRY(ended(admission->session, {.reason = "ConnectFailed", .message = descriptor.error().message}));
    return std::unexpected(descriptor.error());
  }
  plan.descriptor = *descriptor;
  return plan;
}

// Clients of Remote Desktop come back by themselves when their connection is gone: not after they were shown
// out.
Result<bool> Service::was_told_to_end(store::Reader& reader, const TunnelToken& token) {
  for (const std::string& id : token.sessions) {
    const auto session = TRY(store::get<Session>(reader, platform_.core.tenant, id));
    if (session && !session->end_asked_reason.empty()) return true;
  }
  return false;
}

net::TunnelPlan Service::plan_for(const Admission& admission, bool opened_now) {
  const auto why = std::make_shared<CutReason>();
  net::TunnelPlan plan{.address = admission.address, .port = admission.port};
  plan.connect_timeout = kDialTimeout;
  plan.patient = opened_now;
  plan.idle_max = admission.idle_max;
  plan.started = [this, id = admission.session, why](net::TunnelControl control) {
    watch(id, [control, why](const Notice& notice) {
      if (notice.kind != Notice::Kind::end) return control.tell(notice.message);
      {
        const std::lock_guard lock(why->mutex);
        why->reason = notice.reason;
        why->message = notice.message;
      }
      control.cut(notice.message);
    });
  };
  plan.ended = [this, id = admission.session, why](const net::TunnelOutcome& outcome) {
    // Whoever ends SSH in it, and has named the login, knows how it ended and says so.
    const auto session = store::read_value<std::optional<JsonObject>>(
        platform_.core.store, [&](store::Reader& reader) { return this->session(reader, id); });
    if (session && *session && string_at(**session, "properties.login").value_or("") != "") return;
    Ended how{.reason = std::string(net::tunnel_end_text(outcome.end)),
              .message = outcome.detail,
              .bytes_to_machine = outcome.bytes_to_target,
              .bytes_to_client = outcome.bytes_to_client};
    if (outcome.end == net::TunnelEnd::cut) {
      const std::lock_guard lock(why->mutex);
      if (!why->reason.empty()) how.reason = why->reason;
    }
    if (const auto done = ended(id, how); !done)
      log_error("the end of a session could not be written; trying again", done.error());
  };
  return plan;
}

}  // namespace merlon::bastion
