// Where a shareable link leads: GET /api/shareable-url/TOKEN puts the token into a cookie and goes on to the
// page at "/", so that it stands in no history, log or Referer of what is done there. Opening it uses nothing
// up (mail programs open links to look at them); beginning a session does.
#include <fmt/format.h>

#include "base/text.h"
#include "base/time_text.h"
#include "identity/cookies.h"
#include "identity/page.h"
#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

bool is_link_address(const net::Request& request) {
  return request.segments.size() == 3 && ascii_iequal(request.segments[0], "api") &&
         ascii_iequal(request.segments[1], "shareable-url");
}

std::unexpected<Error> not_known() {
  return fail(ErrorKind::not_found, "LinkNotFound",
              "There is no such link: it was deleted, has been over for a day, or was not copied whole. Ask "
              "whoever gave it to you for another.");
}

JsonObject view_json(const LinkView& view) {
  return {{"machine", view.target_name},     {"login", view.login},
          {"createdBy", view.maker},         {"expiresAt", to_rfc3339(view.expires)},
          {"usesLeft", view.uses_left},      {"signInRequired", view.sign_in_required},
          {"mfaRequired", view.mfa_required}};
}

}  // namespace

Result<Link> Service::presented_link(const net::Request& request) {
  const std::string bastion = TRY(plane_host(request));
  const Timestamp now = platform_.core.clock.now();
  const auto token = is_link_address(request) ? std::optional(request.segments[2])
                                              : identity::read_cookie(request.headers, kLinkCookie);
  if (!token)
    return fail(ErrorKind::unauthenticated, "LinkRequired",
                "No shareable link was opened in this browser. Open it again.");
  if (!guesses_.admits(request.peer, now))
    return fail(ErrorKind::throttled, "TooManyLinkGuesses",
                fmt::format("Too many links that do not exist were tried from {}. Wait some minutes.",
                            request.peer.text()));
  const auto link = TRY(store::read_value<std::optional<Link>>(
      platform_.core.store, [&](store::Reader& reader) { return link_by_token(reader, *token); }));
  if (link && ascii_iequal(link->bastion_text, bastion)) {
    if (link->is_over(now)) return link_over();
    return *link;
  }
  guesses_.note(request.peer, now);
  ledger::Entry entry;
  entry.time = now;
  entry.actor = {"Anonymous", {}, {}, request.peer.text()};
  entry.action = kLinkUseAction;
  entry.resource = bastion;
  entry.decision = ledger::Decision::denied;
  entry.reason = "LinkNotFound";
  entry.request_id = request.request_id;
  platform_.core.ledger.note_denial(entry);
  return not_known();
}

Result<LinkView> Service::link_of(const net::Request& request) {
  const Link link = TRY(presented_link(request));
  return LinkView{.id = link.id.text(),
                  .bastion_id = link.bastion_text,
                  .target_id = link.target_text,
                  .target_name = TRY(resource::ResourceId::parse(link.target_text)).name(),
                  .port = link.port,
                  .login = link.login,
                  .maker = link.maker_name,
                  .expires = link.expires,
                  .uses_left = link.uses_max - link.uses,
                  .sign_in_required = link.sign_in_required,
                  .mfa_required = link.mfa_required};
}

Result<WayIn> Service::way_by_link(const net::Request& request, std::optional<identity::Principal> holder) {
  const Link link = TRY(presented_link(request));
  WayIn way;
  way.caller.object_id = link.maker;
  way.caller.kind =
      link.maker_is_person ? identity::PrincipalKind::user : identity::PrincipalKind::service_principal;
  // What ledger and lists show as who acts: it is their right, and not they.
  way.caller.name = "a shareable link of " + link.maker_name;
  way.caller.address = request.peer;
  if (holder) {
    way.caller.amr = holder->amr;
    way.caller.auth_time = holder->auth_time;
  }
  way.user_agent = request.headers.value_or("User-Agent", "");
  way.transport = Transport::link;
  way.signed_in_by = SignedInBy::link;
  way.ends_protocol = true;
  way.target = link.target_text;
  way.bastion = link.bastion_text;
  way.port = link.port;
  way.login = link.login;
  way.justification = link.justification;
  way.link_id = link.id.text();
  way.holder = std::move(holder);
  return way;
}

Result<net::Response> Service::open_link(const net::Request& request) {
  const auto view = link_of(request);
  const bool is_person = request.headers.value_or("Accept", "").find("text/html") != std::string_view::npos;
  if (!view && is_person && view.error().kind != ErrorKind::internal)
    return identity::page_reply({.status = net::http_status(view.error().kind),
                                 .title = "This link does not work",
                                 .content = identity::page_alert(view.error().message)});
  if (!view) return std::unexpected(view.error());
  net::Response response;
  if (!is_person) {
    response = resource::json_response(200, view_json(*view));
  } else {
    response.status = 303;
    response.headers.set("Location", "/");
  }
  response.headers.set("Set-Cookie", identity::set_cookie(kLinkCookie, request.segments[2]));
  response.headers.set("Referrer-Policy", "no-referrer");
  return response;
}

}  // namespace merlon::bastion
