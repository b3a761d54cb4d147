// A page for whoever has a shareable link (docs/decisions/0044): one machine, one login, no recordings, and
// no sign-in unless the link wants one. The link's cookie comes first: whoever opened a link is shown what it
// gives, by its maker's right, even where they have signed in here themselves, until they leave it.
#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "identity/cookies.h"
#include "identity/second_factor_sign_in.h"
#include "resource/call.h"
#include "services/terminal/service.h"

namespace merlon::terminal {
namespace {

// What its holder still has to do before it opens a terminal: "signIn", "mfa" or nothing.
std::string_view missing_of(const bastion::LinkView& link, const std::optional<WebSession>& holder) {
  if (!link.sign_in_required) return "";
  if (!holder) return link.mfa_required ? "mfa" : "signIn";
  const auto& amr = holder->principal.amr;
  return link.mfa_required && std::ranges::find(amr, identity::kMfa) == amr.end() ? "mfa" : "";
}

JsonObject session_json(const bastion::LinkView& link, const std::optional<WebSession>& holder) {
  return {{"link", true},
          {"name", holder ? holder->principal.name : std::string()},
          {"bastion", link.bastion_id.substr(link.bastion_id.rfind('/') + 1)},
          {"machine", link.target_name},
          {"machineId", link.target_id},
          {"port", link.port},
          {"login", link.login},
          {"createdBy", link.maker},
          {"usesLeft", link.uses_left},
          {"expiresAt", to_rfc3339(link.expires)},
          {"missing", missing_of(link, holder)}};
}

// A page that was there before the link was opened, in the same browser, asks for something else: it is not
// to find itself on another machine than it says.
Result<void> check_asked(const net::Query& query, const bastion::WayIn& way) {
  const std::string* machine = query.find("machine");
  const std::string* login = query.find("login");
  if (machine != nullptr && login != nullptr && ascii_iequal(*machine, way.target) && *login == way.login)
    return {};
  return fail(
      ErrorKind::conflict, "LinkLeadsElsewhere",
      "A shareable link was opened in this browser, and leads elsewhere than where this page wants to "
      "go. Reload the page; there the link can be left.");
}

}  // namespace

bool has_link(const net::Request& request) {
  return identity::read_cookie(request.headers, bastion::kLinkCookie).has_value();
}

// Who has signed in here beside having the link; nobody, for most links.
Result<std::optional<WebSession>> Service::link_holder(const net::Request& request) {
  auto session = visitor(request);
  if (session) return std::optional<WebSession>(*std::move(session));
  if (session.error().kind == ErrorKind::unauthenticated) return std::optional<WebSession>();
  return std::unexpected(session.error());
}

Result<net::Response> Service::answer_link(const net::Request& request) {
  if (request.method == "POST" && is_path(request, {"web", "leave-link"})) {
    net::Response response = resource::empty_response(204);
    response.headers.add("Set-Cookie", identity::clear_cookie(bastion::kLinkCookie));
    return response;
  }
  if (request.method != "GET") return not_here();
  const bool asks_who = is_path(request, {"web", "session"});
  if (!asks_who && !is_path(request, {"web", "machines"})) return not_here();
  const auto link = parts_.bastion.link_of(request);
  if (!link) {
    // Said once; then the browser is anybody's again, who may sign in or open another link.
    net::Response response = failed(link.error());
    const bool is_over =
        link.error().kind == ErrorKind::not_found || link.error().kind == ErrorKind::forbidden;
    if (asks_who && is_over) response.headers.add("Set-Cookie", identity::clear_cookie(bastion::kLinkCookie));
    return response;
  }
  if (asks_who) return resource::json_response(200, session_json(*link, TRY(link_holder(request))));
  return resource::json_response(
      200, {{"value", JsonArray{JsonObject{{"id", link->target_id}, {"name", link->target_name}}}}});
}

Result<net::TunnelPlan> Service::open_by_link(const net::Request& request) {
  const auto session = TRY(link_holder(request));
  std::optional<identity::Principal> holder;
  if (session) holder = session->principal;
  bastion::WayIn way = TRY(parts_.bastion.way_by_link(request, std::move(holder)));
  if (way.login.empty())
    return fail(
        ErrorKind::forbidden, "LinkNamesNoLogin",
        "This link is for no login, so it opens no terminal. Ask for one that was made with --login.");
  TRY(check_asked(request.query, way));
  ssh::Destination to;
  to.machine = way.target;
  to.login = way.login;
  to.bastion = way.bastion;
  to.port = way.port;
  ssh_edge::Visitor visitor;
  visitor.principal = way.caller;
  visitor.transport = bastion::Transport::link;
  visitor.signed_in_by = bastion::SignedInBy::link;
  visitor.by_link = std::move(way);
  return begin(request, std::move(visitor), to);
}

}  // namespace merlon::terminal
