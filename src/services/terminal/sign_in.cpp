// Signing in at a bastion's page: the authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636), as
// any other client of the server's has it. The server is the client itself, so that no token ever reaches the
// browser: the code is redeemed here, and what the browser keeps is one random cookie.
//
// The cookie of a sign-in that has begun is the code verifier; the parameter state is its digest, so that an
// answer is taken from the very browser that asked, and nothing is stored of people who only ask.
#include "base/log.h"
#include "crypto/digest.h"
#include "identity/authorize_request.h"
#include "identity/bootstrap.h"
#include "identity/claims_request.h"
#include "identity/cookies.h"
#include "identity/page.h"
#include "identity/sessions.h"
#include "resource/call.h"
#include "services/terminal/service.h"

namespace merlon::terminal {
namespace {

constexpr std::string_view kSignInCookie = "__Host-merlon-bastion-sign-in";
constexpr std::string_view kSignInAction = "Merlon.Bastion/webSessions/signIn/action";
constexpr std::string_view kSignOutAction = "Merlon.Bastion/webSessions/signOut/action";
constexpr size_t kSecretBytes = 32;

std::string new_secret(Random& random) { return to_base64url(random.bytes(kSecretBytes)); }

std::string state_of(std::string_view verifier) {
  return to_base64url(crypto::sha256(as_bytes("state " + std::string(verifier))));
}

std::string text_of(const net::Query& query, std::string_view name) {
  const std::string* value = query.find(name);
  return value == nullptr ? std::string() : *value;
}

std::string return_uri(const net::Request& request) {
  return "https://" + request.host + std::string(identity::kBastionPagesReturn);
}

net::Response go_to(const std::string& place) {
  net::Response response;
  response.status = 303;
  response.headers.set("Location", place);
  response.headers.set("Cache-Control", "no-store");
  return response;
}

net::Response not_signed_in(int status, const std::string& why) {
  return identity::page_reply(
      {.status = status,
       .title = "Not signed in",
       .content = identity::page_alert(why) + "<p><a href=\"/\">Back to the bastion</a></p>\n"});
}

}  // namespace

std::string Service::main_origin(const net::Request& request) const {
  const size_t colon = request.host.find(':');
  return "https://" + core_.domain + (colon == std::string::npos ? "" : request.host.substr(colon));
}

net::Response Service::begin_sign_in(const net::Request& request) {
  const std::string verifier = new_secret(core_.random);
  const std::string origin = main_origin(request);
  std::string place = origin + "/" + core_.tenant.text() +
                      "/oauth2/v2.0/authorize?response_type=code&client_id=" + identity::kBastionPagesAppId +
                      "&redirect_uri=" + net::percent_encode(return_uri(request)) +
                      "&scope=" + net::percent_encode("openid offline_access " + origin + "/.default") +
                      "&state=" + state_of(verifier) + "&code_challenge_method=S256&code_challenge=" +
                      to_base64url(crypto::sha256(as_bytes(verifier)));
  // Step-up: as fresh as can be, with a second factor.
  if (request.query.find("fresh") != nullptr)
    place += "&claims=" + net::percent_encode(identity::step_up_claims(core_.clock.now()));
  net::Response response = go_to(place);
  response.headers.add("Set-Cookie", identity::set_strict_cookie(kSignInCookie, verifier));
  return response;
}

net::Response Service::end_sign_in(const net::Request& request) {
  const auto verifier = identity::read_cookie(request.headers, kSignInCookie);
  const std::string state = text_of(request.query, "state");
  if (!verifier || !constant_time_equal(as_bytes(state), as_bytes(state_of(*verifier))))
    return not_signed_in(
        400,
        "This answer belongs to no sign-in that this browser has begun here. Begin again from the "
        "bastion's page.");
  if (request.query.find("error") != nullptr)
    return not_signed_in(
        403, "The sign-in was refused: " + text_of(request.query, "error_description").substr(0, 500));
  const auto bearer = redeem(request, *verifier);
  if (!bearer) return not_signed_in(403, bearer.error().message);
  const std::string cookie = new_secret(core_.random);
  const auto session = make_session(request, *bearer, cookie);
  if (!session) {
    log_error("a web session could not be begun", session.error());
    return not_signed_in(net::http_status(session.error().kind), session.error().message);
  }
  net::Response response = go_to("/");
  response.headers.add("Set-Cookie", identity::set_strict_cookie(kWebSessionCookie, cookie));
  response.headers.add("Set-Cookie", identity::clear_cookie(kSignInCookie));
  return response;
}

// "Bearer <token>", for this server alone.
Result<std::string> Service::redeem(const net::Request& request, const std::string& verifier) {
  net::Request asked;
  asked.method = "POST";
  asked.segments = {core_.tenant.text(), "oauth2", "v2.0", "token"};
  asked.path = "/" + core_.tenant.text() + "/oauth2/v2.0/token";
  asked.target = asked.path;
  asked.headers.set("Content-Type", "application/x-www-form-urlencoded");
  asked.headers.set("User-Agent", std::string(request.headers.value_or("User-Agent", "")));
  asked.body = "grant_type=authorization_code&client_id=" + std::string(identity::kBastionPagesAppId) +
               "&redirect_uri=" + net::percent_encode(return_uri(request)) + "&code_verifier=" + verifier +
               "&code=" + net::percent_encode(text_of(request.query, "code"));
  asked.peer = request.peer;
  const std::string origin = main_origin(request);
  asked.host = origin.substr(std::string_view("https://").size());
  asked.request_id = request.request_id;
  const auto response = parts_.sign_in(asked, origin);
  if (!response) return internal_error("nobody answers for tokens");
  const JsonObject answer = TRY(parse_json_object(response->body));
  if (response->status != 200)
    return fail(
        ErrorKind::forbidden, "SignInRefused",
        "The sign-in was refused: " + string_at(answer, "error_description").value_or("").substr(0, 500));
  return "Bearer " + TRY(require_string(answer, "access_token"));
}

Result<WebSession> Service::make_session(const net::Request& request, const std::string& bearer,
                                         const std::string& cookie) {
  return store::write_value<WebSession>(core_.store, [&](store::Transaction& tx) -> Result<WebSession> {
    WebSession session;
    session.digest = web_session_digest(cookie);
    session.host = request.host;
    session.bastion = TRY(parts_.bastion.bastion_at(tx, request.host));
    session.principal = TRY(core_.issuer.authenticate(tx, bearer, request.peer));
    session.stamp = TRY(identity::session_stamp(tx, core_.tenant, session.principal.object_id));
    session.created = core_.clock.now();
    session.expires = session.created + kWebSessionLife;
    TRY(store::put(tx, core_.tenant, session));
    ledger::Entry entry;
    entry.time = session.created;
    entry.actor = session.principal.actor();
    entry.action = kSignInAction;
    entry.resource = session.bastion;
    entry.request_id = request.request_id;
    TRY(core_.ledger.append(tx, entry));
    return session;
  });
}

// Ends the sign-in that the page has, and with it what runs by it; the browser's own at the server's pages
// stays, as with any other application.
Result<net::Response> Service::sign_out(const net::Request& request) {
  const auto cookie = identity::read_cookie(request.headers, kWebSessionCookie);
  if (cookie)
    TRY(core_.store.write([&](store::Transaction& tx) -> Result<void> {
      const std::string digest = web_session_digest(*cookie);
      const auto session = TRY(store::get<WebSession>(tx, core_.tenant, digest));
      if (!session || session->host != request.host) return {};
      TRY(store::erase<WebSession>(tx, core_.tenant, digest));
      const auto sign_in = Uuid::parse(session->principal.session_id);
      if (sign_in) TRY(identity::end_session(tx, core_.tenant, *sign_in));
      ledger::Entry entry;
      entry.time = core_.clock.now();
      entry.actor = session->principal.actor();
      entry.actor.address = request.peer.text();
      entry.action = kSignOutAction;
      entry.resource = session->bastion;
      entry.request_id = request.request_id;
      return core_.ledger.append(tx, entry);
    }));
  net::Response response = resource::empty_response(204);
  response.headers.add("Set-Cookie", identity::clear_cookie(kWebSessionCookie));
  return response;
}

}  // namespace merlon::terminal
