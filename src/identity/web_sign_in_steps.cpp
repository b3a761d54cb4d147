// From the first form to a session: the password, the second factor of who has one, a new password where the
// old one must be changed. Between two forms a sealed ticket says what the person has shown so far.
#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "identity/codes.h"
#include "identity/cookies.h"
#include "identity/record_fields.h"
#include "identity/web_sign_in.h"

namespace merlon::identity {
namespace {

constexpr Duration kTicketLifetime = std::chrono::minutes(10);
constexpr Duration kBrowserIdle = std::chrono::hours(8);
constexpr std::string_view kChangePurpose = "change-password";
constexpr std::string_view kSecondFactorPurpose = "second-factor";
constexpr std::string_view kTooLate =
    "That took too long, or the password was changed meanwhile. Please sign in again.";

}  // namespace

bool WebSignIn::Proven::has_mfa() const { return std::ranges::find(amr, kMfa) != amr.end(); }

bool WebSignIn::is_step(std::string_view what) {
  return what == "sign-in" || what == "second-factor" || what == "change-password" || what == "use-passkey" ||
         what == "passkey";
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

// Names the user, what was shown, and the password that was checked: worth nothing once that has been
// changed.
std::string WebSignIn::ticket(std::string_view purpose, const Visitor& visitor, const Proven& proven) const {
  std::string payload =
      proven.user.id.text() + "/" + to_hex(crypto::sha256(as_bytes(proven.user.password_hash)));
  for (const std::string& method : proven.amr) payload += "/" + method;
  return forms_.make(purpose, visitor.browser, payload, clock_.now() + kTicketLifetime);
}

Result<std::optional<WebSignIn::Proven>> WebSignIn::open_ticket(std::string_view purpose,
                                                                const Visitor& visitor,
                                                                const net::Query& form) const {
  const auto payload = forms_.open(purpose, visitor.browser, form_value(form, "ticket"), clock_.now());
  if (!payload) return std::nullopt;
  const auto parts = split(*payload, '/');
  const auto id = Uuid::parse(parts.front());
  if (!id || parts.size() < 2) return std::nullopt;
  auto user = TRY(store::read_value<std::optional<User>>(store_, [&](store::Reader& reader) {
    return store::get<User>(reader, directory_.tenant(), id->text());
  }));
  if (!user || !user->enabled || to_hex(crypto::sha256(as_bytes(user->password_hash))) != parts[1])
    return std::nullopt;
  return Proven{.user = *std::move(user), .amr = {parts.begin() + 2, parts.end()}};
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

net::Response WebSignIn::second_factor_page(const Visitor& visitor, const Errand& errand,
                                            const Proven& proven, const std::string& alert, int status) {
  const std::string content =
      page_alert(alert) +
      page_paragraph("Type the code that your authenticator app shows for " +
                     proven.user.user_principal_name +
                     (knows_passkeys(errand) ? ", or use your passkey." : ".")) +
      page_form(
          errand.target,
          hidden(visitor, errand.target, {{"ticket", ticket(kSecondFactorPurpose, visitor, proven)}}),
          page_field({.label = "Code",
                      .name = "code",
                      .autocomplete = "one-time-code",
                      .note = "Without the app or the passkey: one of your recovery codes",
                      .focus = true}) +
              page_button("Sign in", "second-factor") +
              (knows_passkeys(errand) ? page_button("Use a passkey", "use-passkey", false) : std::string()) +
              (errand.application.empty() ? std::string() : page_button("Cancel", "cancel", false)));
  return with_cookies(page_reply({.status = status,
                                  .title = "Prove that it is you",
                                  .content = content,
                                  .form_sources = errand.form_sources}),
                      visitor);
}

std::optional<net::Response> WebSignIn::take(Visitor& visitor, const Errand& errand, const net::Query& form) {
  const std::string what = form_value(form, "do");
  if (what == "sign-in") return check_password(visitor, errand, form);
  if (what == "second-factor") return check_second_factor(visitor, errand, form);
  if (what == "change-password") return change_password(visitor, errand, form);
  if (what == "use-passkey" && knows_passkeys(errand)) return passkey_page(visitor, errand, {}, 200);
  if (what == "passkey") return check_passkey(visitor, errand, form);
  return page(visitor, errand, "The form was not understood. Please try again.", 400);
}

std::optional<net::Response> WebSignIn::go_on(Visitor& visitor, const Errand& errand, const Proven& proven) {
  // A passkey does not care what the password is.
  const bool by_password = std::ranges::find(proven.amr, "pwd") != proven.amr.end();
  if (proven.user.must_change_password && by_password)
    return change_page(visitor, errand, ticket(kChangePurpose, visitor, proven), {});
  const auto begun = begin_session(visitor, errand, proven);
  if (!begun) return refused(visitor, errand, begun.error(), passwords_.user_path(proven.user.id));
  return std::nullopt;
}

std::optional<net::Response> WebSignIn::check_password(Visitor& visitor, const Errand& errand,
                                                       const net::Query& form) {
  std::string resource = "/tenants/" + directory_.tenant().text();
  const auto user = passwords_.check(errand.request, std::string(trim(form_value(form, "username"))),
                                     Secret(form_value(form, "password")), resource);
  if (!user) return refused(visitor, errand, user.error(), resource);
  const Proven proven{.user = *user, .amr = {"pwd"}};
  const auto more = second_factors_.required(*user);
  if (!more) return refused(visitor, errand, more.error(), resource);
  if (*more) return second_factor_page(visitor, errand, proven, {}, 200);
  return go_on(visitor, errand, proven);
}

std::optional<net::Response> WebSignIn::check_second_factor(Visitor& visitor, const Errand& errand,
                                                            const net::Query& form) {
  auto proven = open_ticket(kSecondFactorPurpose, visitor, form);
  if (!proven) return refused(visitor, errand, proven.error(), "/tenants/" + directory_.tenant().text());
  if (!*proven) return page(visitor, errand, std::string(kTooLate), 400);
  const std::string resource = passwords_.user_path((*proven)->user.id);
  const auto shown =
      second_factors_.check(errand.request, (*proven)->user, form_value(form, "code"), resource);
  if (!shown && shown.error().status >= 500) return refused(visitor, errand, shown.error(), resource);
  if (!shown) {
    note_refusal(errand.request, shown.error().number, resource, kSignInAction);
    return second_factor_page(visitor, errand, **proven, shown.error().message,
                              shown.error().number == 50053 ? 429 : shown.error().status);
  }
  (*proven)->amr.insert((*proven)->amr.end(), shown->begin(), shown->end());
  return go_on(visitor, errand, **proven);
}

std::optional<net::Response> WebSignIn::change_password(Visitor& visitor, const Errand& errand,
                                                        const net::Query& form) {
  auto proven = open_ticket(kChangePurpose, visitor, form);
  if (!proven) return refused(visitor, errand, proven.error(), "/tenants/" + directory_.tenant().text());
  if (!*proven) return page(visitor, errand, std::string(kTooLate), 400);
  const User& user = (*proven)->user;
  const std::string resource = passwords_.user_path(user.id);
  const auto changed = passwords_.change(errand.request, user, Secret(form_value(form, "new-password")),
                                         Secret(form_value(form, "confirm-password")), Secret());
  if (!changed && changed.error().number == 120000)
    return change_page(visitor, errand, form_value(form, "ticket"), changed.error().message);
  if (!changed) return refused(visitor, errand, changed.error(), resource);
  auto now = store::read_value<std::optional<User>>(store_, [&](store::Reader& reader) {
    return store::get<User>(reader, directory_.tenant(), user.id.text());
  });
  if (!now || !*now)
    return page(visitor, errand, "The password is changed. Please sign in with the new one.");
  const Proven renewed{.user = **std::move(now), .amr = (*proven)->amr};
  const auto begun = begin_session(visitor, errand, renewed);
  if (!begun) return refused(visitor, errand, begun.error(), resource);
  return std::nullopt;
}

SignIn<void> WebSignIn::begin_session(Visitor& visitor, const Errand& errand, const Proven& proven) {
  const User& user = proven.user;
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
                  .amr = proven.amr,
                  .auth_time = now,
                  .created = now,
                  .last_used = now,
                  .expires = now + kBrowserIdle};
  const auto before = read_cookie(errand.request.headers, kSessionCookie);
  const auto written = store_.write([&](store::Transaction& tx) -> Result<void> {
    const auto current = TRY(store::get<User>(tx, tenant, user.id.text()));
    if (!current || !current->enabled || current->password_hash != user.password_hash)
      return fail(ErrorKind::conflict, "SignInChanged", "The account has been changed meanwhile.");
    // An app that was added while the password was typed counts already.
    if (!proven.has_mfa() && TRY(second_factors_.factors().required(tx, user.id)))
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
    signed_in.details["amr"] = to_json_array(proven.amr);
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

}  // namespace merlon::identity
