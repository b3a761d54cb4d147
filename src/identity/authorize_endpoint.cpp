// From a request to a code.
#include "identity/authorize_endpoint.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "identity/codes.h"
#include "identity/discovery.h"

namespace merlon::identity {
namespace {

constexpr Duration kCodeLifetime = std::chrono::minutes(5);  // RFC 6749 section 4.1.2: at most ten
constexpr Duration kCodeRemembered = std::chrono::hours(24);
constexpr Duration kBrowserIdle = std::chrono::hours(8);
constexpr Duration kBrowserTotal = std::chrono::hours(24);
constexpr std::string_view kCodeAction = "Merlon.Identity/authorizationCodes/issue/action";

std::string encoded(const net::Query& parameters) {
  std::string text;
  for (const auto& [name, value] : parameters.items)
    text += (text.empty() ? "" : "&") + name + "=" + net::percent_encode(value);
  return text;
}

std::string location(const AuthorizeRequest& asked, const net::Query& parameters) {
  if (asked.mode == ResponseMode::fragment) return asked.redirect_uri + "#" + encoded(parameters);
  const bool has_query = asked.redirect_uri.find('?') != std::string::npos;
  return asked.redirect_uri + (has_query ? "&" : "?") + encoded(parameters);
}

// Whether only the application can be there. On a person's own machine whoever else is on it can listen on a
// loopback port or take a private scheme: RFC 8252 section 8.6 has people asked before such a one gets a
// code.
bool is_its_own(const RedirectParts& redirect) {
  RedirectParts plain = redirect;
  plain.scheme = "http";
  return redirect.scheme == "https" && !plain.is_loopback();
}

net::Response redirect(const std::string& to, int status) {
  net::Response response;
  response.status = status;
  response.headers.set("Location", to);
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Pragma", "no-cache");
  response.headers.set("Referrer-Policy", "no-referrer");
  return response;
}

}  // namespace

net::Response AuthorizeEndpoint::refuse_on_page(const net::Request& request, const SignInError& error) {
  if (error.status >= 500)
    log(LogLevel::error, "an authorization request failed for a reason of ours",
        {{"cause", error.cause}, {"requestId", request.request_id}});
  else
    people_.note_refusal(request, error.number, "/tenants/" + directory_.tenant().text(), kCodeAction);
  return page_reply(
      {.status = error.status,
       .title = "This sign-in cannot go on",
       .content = page_alert("AADSTS" + std::to_string(error.number) + ": " + error.message) +
                  page_paragraph("Go back to the application and try again. If it stays so, give its owner "
                                 "this text.") +
                  page_facts({{"Request", request.request_id}, {"Correlation", correlation_id(request)}})});
}

// RFC 6749 section 4.1.2.1: to the client once its redirect URI is known to be its own, to nobody before.
net::Response AuthorizeEndpoint::refused(const net::Request& request, const Asked& asked,
                                         const SignInError& error) {
  if (!asked.request.redirect_known || error.status >= 500) return refuse_on_page(request, error);
  people_.note_refusal(request, error.number, "/tenants/" + directory_.tenant().text(), kCodeAction);
  net::Query parameters;
  parameters.items = {{"error", error.error},
                      {"error_description", "AADSTS" + std::to_string(error.number) + ": " + error.message +
                                                " Trace ID: " + request.request_id +
                                                " Correlation ID: " + correlation_id(request)}};
  if (!error.suberror.empty()) parameters.items.emplace_back("error_subcode", error.suberror);
  return answer(asked, parameters, {}, request.method == "POST" ? 303 : 302);
}

net::Response AuthorizeEndpoint::answer(const Asked& asked, const net::Query& parameters,
                                        const Visitor& visitor, int status) {
  net::Query all = parameters;
  if (asked.request.has_state) all.items.emplace_back("state", asked.request.state);
  all.items.emplace_back("iss", asked.issuer);  // RFC 9207: against mix-up
  if (asked.request.mode != ResponseMode::form_post)
    return WebSignIn::with_cookies(redirect(location(asked.request, all), status), visitor);
  const std::string content =
      page_form(asked.request.redirect_uri, HiddenFields(all.items.begin(), all.items.end()),
                page_paragraph("You are signed in. The application is waiting for you.") +
                    "<button class=\"go\">Continue</button>\n");
  return WebSignIn::with_cookies(page_reply({.status = 200,
                                             .title = "Continue",
                                             .content = content,
                                             .form_sources = {redirect_source(asked.request.redirect)},
                                             .submits_itself = true}),
                                 visitor);
}

bool AuthorizeEndpoint::may_go_on(const Visitor& visitor, const AuthorizeRequest& asked) const {
  if (!visitor.session || !visitor.user || asked.prompt == Prompt::sign_in) return false;
  if (asked.max_age && clock_.now() - visitor.session->auth_time > *asked.max_age) return false;
  if (!asked.claims.satisfied_by(visitor.session->amr, visitor.session->auth_time)) return false;
  // Somebody else is wanted: never sign the wrong person in without a word.
  return asked.login_hint.empty() || ascii_iequal(asked.login_hint, visitor.user->user_principal_name);
}

net::Response AuthorizeEndpoint::show(Visitor& visitor, const Errand& errand, const Asked& asked) {
  const bool goes_on = may_go_on(visitor, asked.request);
  if (asked.request.prompt == Prompt::none && !goes_on)
    return refused(errand.request, asked,
                   SignInError(50058,
                               "A silent sign-in request was sent but no user is signed in. Ask without "
                               "prompt=none."));
  const bool assured = is_its_own(asked.request.redirect);
  if (asked.request.prompt == Prompt::none && !assured)
    return refused(errand.request, asked,
                   SignInError(50199,
                               "An application on a person's own machine gets no code without a click of "
                               "theirs. Ask without prompt=none."));
  if (goes_on && assured && asked.request.prompt != Prompt::select_account)
    return give_code(visitor, errand, asked, 302);
  if (!goes_on) {
    Visitor stranger = visitor;  // the page must not offer to go on as they are
    stranger.user.reset();
    return people_.page(stranger, errand);
  }
  return people_.page(visitor, errand);
}

net::Response AuthorizeEndpoint::authorize(const net::Request& request, const std::string& origin,
                                           const TenantPath& path, Dialect dialect) {
  const bool posted = request.method == "POST";
  if (!path.known)
    return refuse_on_page(request, SignInError(90002, "Tenant '" + path.tenant.substr(0, 64) +
                                                          "' not found. Check to make sure you have the "
                                                          "correct tenant ID."));
  if (!posted && request.method != "GET")
    return refuse_on_page(request, SignInError(900561, "The endpoint only accepts GET and POST requests."));
  const auto form = posted ? posted_form(request) : std::nullopt;
  if (posted && !form)
    return refuse_on_page(request,
                          SignInError(9002313, "Invalid request. The form is malformed or too long."));
  // A form of ours comes back to the address with the parameters; a client's own form has them itself (OpenID
  // Connect Core section 3.1.2.1).
  const bool ours = form && form->find("form") != nullptr;
  const net::Query& parameters = form && !ours ? *form : request.query;
  Asked asked;
  asked.request.origin = origin;
  asked.issuer = issuer_of(dialect, origin, directory_.tenant());
  std::optional<SignIn<void>> read;
  const auto stored = store_.read([&](store::Reader& reader) -> Result<void> {
    read = read_authorize_request(reader, directory_, issuer_, parameters, dialect, asked.request);
    return {};
  });
  if (!stored) return refuse_on_page(request, SignInError(stored.error()));
  if (!*read) return refused(request, asked, read->error());

  auto visitor = people_.visitor(request);
  if (!visitor) return refuse_on_page(request, SignInError(visitor.error()));
  const Errand errand{.request = request,
                      .origin = origin,
                      .target = target_of(request.path, parameters),
                      .application = asked.request.application.display_name,
                      .login_hint = asked.request.login_hint,
                      .form_sources = {redirect_source(asked.request.redirect)}};
  if (!ours) return show(*visitor, errand, asked);
  if (!people_.is_genuine(*visitor, errand, *form)) return people_.not_genuine(*visitor, errand);
  const std::string what = form_value(*form, "do");
  if (what == "cancel") return refused(request, asked, SignInError(65004, "The user cancelled the sign-in."));
  if (what == "continue")
    return may_go_on(*visitor, asked.request) ? give_code(*visitor, errand, asked, 303)
                                              : people_.page({.browser = visitor->browser}, errand);
  if (auto page = people_.take(*visitor, errand, *form)) return *std::move(page);
  // Just now signed in, and yet it is not enough: there is no second factor to ask for.
  if (!asked.request.claims.satisfied_by(visitor->session->amr, visitor->session->auth_time))
    return refused(
        request, asked,
        SignInError(50072,
                    "This takes a second factor, and you have none yet. Enrol one with 'merlon mfa "
                    "enrol', then sign in again."));
  return give_code(*visitor, errand, asked, 303);
}

net::Response AuthorizeEndpoint::give_code(Visitor& visitor, const Errand& errand, const Asked& asked,
                                           int status) {
  const TenantId& tenant = directory_.tenant();
  const Timestamp now = clock_.now();
  const std::string text = make_code(random_);
  AuthorizationCode code{.digest = code_digest(text),
                         .client = asked.request.application.app_id,
                         .redirect_uri = asked.request.redirect_uri,
                         .challenge = asked.request.challenge,
                         .scope = asked.request.scope,
                         .nonce = asked.request.nonce,
                         .user = visitor.user->id,
                         .session = visitor.session->id,
                         .stamp = visitor.session->stamp,
                         .amr = visitor.session->amr,
                         .auth_time = visitor.session->auth_time,
                         .redeemable_until = now + kCodeLifetime,
                         .expires = now + kCodeRemembered,
                         .gave = {}};
  const auto written = store_.write([&](store::Transaction& tx) -> Result<void> {
    auto session = TRY(store::get<Session>(tx, tenant, visitor.session->id.text()));
    if (!session) return fail(ErrorKind::conflict, "SessionEnded", "The session has ended.");
    session->last_used = now;
    session->expires = std::min(now + kBrowserIdle, session->auth_time + kBrowserTotal);
    TRY(store::put(tx, tenant, *session));
    TRY(store::put(tx, tenant, code));
    TRY(sweep_expired(tx, tenant, now));
    ledger::Entry issued = people_.entry(errand.request, *visitor.user, kCodeAction);
    issued.details = {{"clientId", code.client.text()},
                      {"redirectUri", code.redirect_uri},
                      {"sessionId", code.session.text()}};
    return ledger_.append(tx, issued);
  });
  if (!written && written.error().code == "SessionEnded")
    return people_.page({.browser = visitor.browser}, errand,
                        "Your session has ended. Please sign in again.");
  if (!written) return refuse_on_page(errand.request, SignInError(written.error()));
  net::Query parameters;
  parameters.items = {{"code", text}};
  return answer(asked, parameters, visitor, status);
}

net::Response AuthorizeEndpoint::logout(const net::Request& request, const std::string& origin) {
  if (repeated_parameter(request.query))
    return refuse_on_page(request,
                          SignInError(9002313, "Invalid request. A parameter is there more than once."));
  auto visitor = people_.visitor(request);
  if (!visitor) return refuse_on_page(request, SignInError(visitor.error()));
  const Errand errand{.request = request,
                      .origin = origin,
                      .target = target_of(request.path, request.query),
                      .application = {},
                      .login_hint = {},
                      .form_sources = {}};
  const auto form = posted_form(request);
  const bool sure =
      form && form_value(*form, "do") == "sign-out" && people_.is_genuine(*visitor, errand, *form);
  if (visitor->user && !sure)
    return WebSignIn::with_cookies(
        page_reply({.title = "Sign out?",
                    .content = page_paragraph("You are signed in as " + visitor->user->user_principal_name +
                                              " in this browser.") +
                               page_form(errand.target, people_.hidden(*visitor, errand.target),
                                         page_button("Sign out", "sign-out"))}),
        *visitor);
  if (const auto gone = people_.sign_out(*visitor, request); !gone)
    return refuse_on_page(request, SignInError(gone.error()));
  return WebSignIn::with_cookies(
      page_reply(
          {.title = "Signed out",
           .content = page_paragraph("You are signed out in this browser. Command lines and applications "
                                     "that you allowed stay signed in until you end their sessions with "
                                     "'merlon session revoke'.")}),
      *visitor);
}

}  // namespace merlon::identity
