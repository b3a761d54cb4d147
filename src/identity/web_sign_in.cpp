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
constexpr size_t kFormMax = 64 * 1024;
constexpr std::string_view kFormPurpose = "form";
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
  content += page_form(
      errand.target, hidden(visitor, errand.target),
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
          (knows_passkeys(errand) ? page_button("Use a passkey", "use-passkey", false) : std::string()) +
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
