// The sign-in page and its forms.
#include "identity/web_sign_in.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "identity/codes.h"
#include "identity/cookies.h"

namespace merlon::identity {
namespace {

constexpr Duration kFormLifetime = std::chrono::hours(1);
constexpr Duration kTicketLifetime = std::chrono::minutes(10);
constexpr Duration kBrowserIdle = std::chrono::hours(8);
constexpr size_t kFormMax = 64 * 1024;
constexpr std::string_view kFormPurpose = "form";
constexpr std::string_view kTicketPurpose = "change-password";
constexpr std::string_view kSignInAction = "Merlon.Identity/sessions/signIn/action";
constexpr std::string_view kSignOutAction = "Merlon.Identity/sessions/signOut/action";

}  // namespace

std::optional<std::string> repeated_parameter(const net::Query& query) {
  std::vector<std::string> names;
  names.reserve(query.items.size());
  for (const auto& [name, value] : query.items) names.push_back(ascii_lower(name));
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  return twice == names.end() ? std::nullopt : std::optional<std::string>(*twice);
}

std::string target_of(const std::string& path, const net::Query& query) {
  std::string target = path;
  char separator = '?';
  for (const auto& [name, value] : query.items) {
    target += separator + net::percent_encode(name) + "=" + net::percent_encode(value);
    separator = '&';
  }
  return target;
}

std::string form_value(const net::Query& form, std::string_view name) {
  const std::string* value = form.find(name);
  return value == nullptr ? std::string() : *value;
}

std::optional<net::Query> posted_form(const net::Request& request) {
  const std::string_view type = request.headers.value_or("Content-Type", "");
  if (request.method != "POST" || request.body.size() > kFormMax ||
      !ascii_iequal(trim(type.substr(0, type.find(';'))), "application/x-www-form-urlencoded"))
    return std::nullopt;
  auto form = net::parse_form(request.body);
  if (!form) return std::nullopt;
  return *std::move(form);
}

Result<Visitor> WebSignIn::visitor(const net::Request& request) {
  Visitor visitor;
  if (const auto known = read_cookie(request.headers, kFormCookie)) {
    visitor.browser = *known;
  } else {
    visitor.browser = make_code(random_);
    visitor.cookies.push_back(set_cookie(kFormCookie, visitor.browser));
  }
  const auto cookie = read_cookie(request.headers, kSessionCookie);
  if (!cookie) return visitor;
  TRY(store_.read([&](store::Reader& reader) -> Result<void> {
    auto session = TRY(browser_session(reader, directory_.tenant(), *cookie, clock_.now()));
    if (!session) return {};
    auto user = TRY(store::get<User>(reader, directory_.tenant(), session->user.text()));
    if (!user || !user->enabled) return {};
    visitor.session = std::move(session);
    visitor.user = std::move(user);
    return {};
  }));
  return visitor;
}

HiddenFields WebSignIn::hidden(const Visitor& visitor, const std::string& target, HiddenFields more) const {
  const std::string payload = to_hex(crypto::sha256(as_bytes(target)));
  more.emplace_back("form",
                    forms_.make(kFormPurpose, visitor.browser, payload, clock_.now() + kFormLifetime));
  return more;
}

bool WebSignIn::is_genuine(const Visitor& visitor, const Errand& errand, const net::Query& form) const {
  const std::string* origin = errand.request.headers.find("Origin");
  if (origin != nullptr && *origin != errand.origin) return false;
  // "none" is a person who reloads.
  const std::string_view site = errand.request.headers.value_or("Sec-Fetch-Site", "same-origin");
  if (site != "same-origin" && site != "none") return false;
  const auto payload = forms_.open(kFormPurpose, visitor.browser, form_value(form, "form"), clock_.now());
  return payload && *payload == to_hex(crypto::sha256(as_bytes(errand.target)));
}

net::Response WebSignIn::with_cookies(net::Response response, const Visitor& visitor) {
  for (const std::string& cookie : visitor.cookies) response.headers.add("Set-Cookie", cookie);
  return response;
}

net::Response WebSignIn::page(const Visitor& visitor, const Errand& errand, const std::string& alert,
                              int status) {
  std::string content = page_alert(alert);
  if (!errand.application.empty())
    content += page_paragraph("to continue to " + errand.application + " at " +
                              errand.origin.substr(std::string_view("https://").size()));
  if (visitor.user)
    content += page_form(errand.target, hidden(visitor, errand.target),
                         page_paragraph("You are signed in as " + visitor.user->user_principal_name + ".") +
                             page_button("Continue as " + visitor.user->user_principal_name, "continue")) +
               page_paragraph("Or sign in as somebody else:");
  const std::string name = form_value(posted_form(errand.request).value_or(net::Query{}), "username");
  const std::string shown = name.empty() ? errand.login_hint : name;
  content +=
      page_form(errand.target, hidden(visitor, errand.target),
                page_field({.label = "User name",
                            .name = "username",
                            .autocomplete = "username",
                            .value = shown,
                            .note = "For example ada@" + domain_,
                            .focus = shown.empty() && !visitor.user}) +
                    page_field({.label = "Password",
                                .name = "password",
                                .type = "password",
                                .autocomplete = "current-password",
                                .focus = !shown.empty() && !visitor.user}) +
                    page_button("Sign in", "sign-in") +
                    (errand.application.empty() ? std::string() : page_button("Cancel", "cancel", false)));
  return with_cookies(page_reply({.status = status,
                                  .title = "Sign in",
                                  .content = std::move(content),
                                  .form_sources = errand.form_sources}),
                      visitor);
}

net::Response WebSignIn::not_genuine(const Visitor& visitor, const Errand& errand) {
  note_refusal(errand.request, 90014, "/tenants/" + directory_.tenant().text(), kSignInAction);
  return page(visitor, errand,
              "This page was open for too long, or your browser does not keep cookies. Please try again.",
              400);
}

net::Response WebSignIn::change_page(const Visitor& visitor, const Errand& errand, const std::string& ticket,
                                     const std::string& alert) {
  const std::string content =
      page_alert(alert) +
      page_paragraph(
          "Your password has to be changed before you go on. Choose one of at least 8 characters "
          "and three kinds: capital letters, small letters, digits, others.") +
      page_form(errand.target, hidden(visitor, errand.target, {{"ticket", ticket}}),
                page_field({.label = "New password",
                            .name = "new-password",
                            .type = "password",
                            .autocomplete = "new-password",
                            .focus = true}) +
                    page_field({.label = "The same again",
                                .name = "confirm-password",
                                .type = "password",
                                .autocomplete = "new-password"}) +
                    page_button("Change password and sign in", "change-password"));
  return with_cookies(page_reply({.status = alert.empty() ? 200 : 400,
                                  .title = "Change your password",
                                  .content = content,
                                  .form_sources = errand.form_sources}),
                      visitor);
}

std::optional<net::Response> WebSignIn::take(Visitor& visitor, const Errand& errand, const net::Query& form) {
  const std::string what = form_value(form, "do");
  if (what == "sign-in") return check_password(visitor, errand, form);
  if (what == "change-password") return change_password(visitor, errand, form);
  return page(visitor, errand, "The form was not understood. Please try again.", 400);
}

net::Response WebSignIn::refused(const Visitor& visitor, const Errand& errand, const SignInError& error,
                                 const std::string& resource) {
  if (error.status >= 500)
    log(LogLevel::error, "a sign-in failed for a reason of ours",
        {{"cause", error.cause}, {"requestId", errand.request.request_id}});
  else
    note_refusal(errand.request, error.number, resource, kSignInAction);
  const std::string text = error.number == 50126 ? "The user name or the password is wrong." : error.message;
  return page(visitor, errand, text, error.number == 50053 ? 429 : error.status);
}

// Names the user and the password that was checked: worth nothing once that has been changed.
std::string WebSignIn::ticket_payload(const User& user) const {
  return user.id.text() + "/" + to_hex(crypto::sha256(as_bytes(user.password_hash)));
}

std::optional<net::Response> WebSignIn::check_password(Visitor& visitor, const Errand& errand,
                                                       const net::Query& form) {
  std::string resource = "/tenants/" + directory_.tenant().text();
  const auto user = passwords_.check(errand.request, std::string(trim(form_value(form, "username"))),
                                     Secret(form_value(form, "password")), resource);
  if (!user) return refused(visitor, errand, user.error(), resource);
  if (user->must_change_password) {
    const std::string ticket =
        forms_.make(kTicketPurpose, visitor.browser, ticket_payload(*user), clock_.now() + kTicketLifetime);
    return change_page(visitor, errand, ticket, {});
  }
  const auto begun = begin_session(visitor, errand, *user);
  if (!begun) return refused(visitor, errand, begun.error(), resource);
  return std::nullopt;
}

std::optional<net::Response> WebSignIn::change_password(Visitor& visitor, const Errand& errand,
                                                        const net::Query& form) {
  const std::string ticket = form_value(form, "ticket");
  const auto payload = forms_.open(kTicketPurpose, visitor.browser, ticket, clock_.now());
  const auto id = payload ? Uuid::parse(payload->substr(0, payload->find('/'))) : std::nullopt;
  if (!id) return page(visitor, errand, "That took too long. Please sign in again.", 400);
  const auto user = store::read_value<std::optional<User>>(store_, [&](store::Reader& reader) {
    return store::get<User>(reader, directory_.tenant(), id->text());
  });
  const std::string resource = passwords_.user_path(*id);
  if (!user) return refused(visitor, errand, user.error(), resource);
  if (!*user || ticket_payload(**user) != *payload)
    return page(visitor, errand, "The password has been changed meanwhile. Please sign in again.", 400);
  const auto changed = passwords_.change(errand.request, **user, Secret(form_value(form, "new-password")),
                                         Secret(form_value(form, "confirm-password")), Secret());
  if (!changed && changed.error().number == 120000)
    return change_page(visitor, errand, ticket, changed.error().message);
  if (!changed) return refused(visitor, errand, changed.error(), resource);
  const auto now = store::read_value<std::optional<User>>(store_, [&](store::Reader& reader) {
    return store::get<User>(reader, directory_.tenant(), id->text());
  });
  if (!now || !*now)
    return page(visitor, errand, "The password is changed. Please sign in with the new one.");
  const auto begun = begin_session(visitor, errand, **now);
  if (!begun) return refused(visitor, errand, begun.error(), resource);
  return std::nullopt;
}

SignIn<void> WebSignIn::begin_session(Visitor& visitor, const Errand& errand, const User& user) {
  const std::string cookie = make_code(random_);
  const TenantId& tenant = directory_.tenant();
  const Timestamp now = clock_.now();
  Session session{.id = Uuid::generate(random_),
                  .user = user.id,
                  .client = {},
                  .parent = {},
                  .method = "browser",
                  .cookie_digest = code_digest(cookie),
                  .stamp = {},
                  .address = errand.request.peer.text(),
                  .user_agent = kept_user_agent(errand.request.headers.value_or("User-Agent", "")),
                  .amr = {"pwd"},
                  .auth_time = now,
                  .created = now,
                  .last_used = now,
                  .expires = now + kBrowserIdle};
  const auto before = read_cookie(errand.request.headers, kSessionCookie);
  const auto written = store_.write([&](store::Transaction& tx) -> Result<void> {
    const auto current = TRY(store::get<User>(tx, tenant, user.id.text()));
    if (!current || !current->enabled || current->password_hash != user.password_hash)
      return fail(ErrorKind::conflict, "SignInChanged", "The account has been changed meanwhile.");
    session.stamp = TRY(session_stamp(tx, tenant, user.id));
    // Another person's session in the same browser ends with this, and so does one's own old one.
    if (before)
      if (const auto old = TRY(browser_session(tx, tenant, *before, now)))
        TRY(sign_out_browser(tx, tenant, old->id));
    TRY(store::put(tx, tenant, session));
    TRY(sweep_expired(tx, tenant, now));
    ledger::Entry signed_in = entry(errand.request, user, kSignInAction);
    signed_in.details["sessionId"] = session.id.text();
    return ledger_.append(tx, signed_in);
  });
  if (!written && written.error().code == "SignInChanged")
    return refuse(50126, "Error validating credentials due to invalid username or password.");
  TRY(written);
  visitor.session = std::move(session);
  visitor.user = user;
  visitor.cookies.push_back(set_cookie(kSessionCookie, cookie));
  return {};
}

Result<void> WebSignIn::sign_out(Visitor& visitor, const net::Request& request) {
  visitor.cookies.push_back(clear_cookie(kSessionCookie));
  if (!visitor.session) return {};
  TRY(store_.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();
    TRY(sign_out_browser(tx, directory_.tenant(), visitor.session->id));
    ledger::Entry left = entry(request, *visitor.user, kSignOutAction);
    left.details["sessionId"] = visitor.session->id.text();
    return ledger_.append(tx, left);
  }));
  visitor.session.reset();
  visitor.user.reset();
  return {};
}

ledger::Entry WebSignIn::entry(const net::Request& request, const User& user, std::string_view action) const {
  ledger::Entry made;
  made.time = clock_.now();
  made.actor = {.kind = "User",
                .object_id = user.id.text(),
                .name = user.user_principal_name,
                .address = request.peer.text()};
  made.action = action;
  made.resource = passwords_.user_path(user.id);
  made.decision = ledger::Decision::allowed;
  made.request_id = request.request_id;
  made.correlation_id = correlation_id(request);
  return made;
}

void WebSignIn::note_refusal(const net::Request& request, int number, const std::string& resource,
                             std::string_view action) {
  ledger::Entry refusal;
  refusal.time = clock_.now();
  refusal.actor = {.kind = "Anonymous", .object_id = {}, .name = {}, .address = request.peer.text()};
  refusal.action = action;
  refusal.resource = resource;
  refusal.decision = ledger::Decision::denied;
  refusal.reason = "AADSTS" + std::to_string(number);
  refusal.request_id = request.request_id;
  refusal.correlation_id = correlation_id(request);
  ledger_.note_denial(refusal);
}

}  // namespace merlon::identity
