// Signing in with a passkey: no name and no password; the device says whose it is.
#include "base/log.h"
#include "base/text.h"
#include "identity/passkey_scripts.h"
#include "identity/web_sign_in.h"

namespace merlon::identity {
namespace {

constexpr std::string_view kPurpose = "use-passkey";
constexpr Duration kQuestionLifetime = std::chrono::minutes(5);
constexpr size_t kChallengeBytes = 32;

// Without the port: "[::1]" stays as it is, and is no name.
std::string_view host_of(std::string_view origin) {
  std::string_view host = origin.substr(std::string_view("https://").size());
  return host.substr(0, host.rfind(':') == std::string_view::npos ? host.size() : host.rfind(':'));
}

}  // namespace

bool WebSignIn::knows_passkeys(const Errand& errand) const {
  const std::string host = ascii_lower(host_of(errand.origin));
  return host == domain_ || host.ends_with("." + domain_);
}

net::Response WebSignIn::passkey_page(const Visitor& visitor, const Errand& errand, const std::string& alert,
                                      int status) {
  const std::string challenge = to_base64url(random_.bytes(kChallengeBytes));
  const std::string sealed =
      forms_.make(kPurpose, visitor.browser, challenge, clock_.now() + kQuestionLifetime);
  const HiddenFields fields = hidden(visitor, errand.target,
                                     {{"do", "passkey"},
                                      {"ticket", sealed},
                                      {"challenge", challenge},
                                      {"rp", domain_},
                                      {"credential", {}},
                                      {"client", {}},
                                      {"authenticator", {}},
                                      {"signature", {}},
                                      {"handle", {}}});
  std::string content = page_alert(alert);
  if (!errand.application.empty()) content += page_paragraph("to continue to " + errand.application);
  content += page_form(errand.target, fields, page_script_button("Use a passkey"));
  if (!errand.application.empty())
    content +=
        page_form(errand.target, hidden(visitor, errand.target), page_button("Cancel", "cancel", false));
  return with_cookies(page_reply({.status = status,
                                  .title = "Sign in with a passkey",
                                  .content = std::move(content),
                                  .form_sources = errand.form_sources,
                                  .script = kUsePasskeyScript}),
                      visitor);
}

SignIn<User> WebSignIn::owner_of(const Errand& errand, const WebauthnQuestion& question,
                                 const net::Query& form) {
  const auto client = from_base64url(form_value(form, "client"));
  const auto authenticator = from_base64url(form_value(form, "authenticator"));
  const auto signature = from_base64url(form_value(form, "signature"));
  const auto handle = from_base64url(form_value(form, "handle"));
  const std::string credential = form_value(form, "credential");
  if (!client || !authenticator || !signature || !handle || credential.size() > 2 * kCredentialIdMax)
    return refuse(9002313, "Invalid request. The answer of the passkey cannot be read.");
  const PasskeyAnswer answer{.credential = credential,
                             .client_data_json = *client,
                             .authenticator_data = *authenticator,
                             .signature = *signature,
                             .user_handle = *handle};
  const auto user = store::write_value<std::optional<User>>(
      store_, [&](store::Transaction& tx) -> Result<std::optional<User>> {
        const Passkey used = TRY(second_factors_.factors().passkeys().use(tx, question, answer));
        return store::get<User>(tx, directory_.tenant(), used.user.text());
      });
  if (!user && user.error().code == "PasskeyNotAccepted") {
    log(LogLevel::warning, "a passkey was not accepted",
        {{"cause", user.error().cause}, {"requestId", errand.request.request_id}});
    return refuse(500121, "The passkey was not accepted. Try again, or sign in with your password.");
  }
  if (!user) return std::unexpected(SignInError(user.error()));
  if (!*user)
    return refuse(500121, "The passkey was not accepted. Try again, or sign in with your password.");
  if (!(*user)->enabled) return refuse(50057, "The user account is disabled. Ask a directory administrator.");
  return **user;
}

std::optional<net::Response> WebSignIn::check_passkey(Visitor& visitor, const Errand& errand,
                                                      const net::Query& form) {
  const auto sealed = forms_.open(kPurpose, visitor.browser, form_value(form, "ticket"), clock_.now());
  const auto challenge = sealed ? from_base64url(*sealed) : std::nullopt;
  if (!challenge) return passkey_page(visitor, errand, "That took too long. Please try again.", 400);
  const WebauthnQuestion question{.challenge = *challenge, .origin = errand.origin, .rp_id = domain_};
  const auto user = owner_of(errand, question, form);
  const std::string resource =
      user ? passwords_.user_path(user->id) : "/tenants/" + directory_.tenant().text();
  if (!user && user.error().number == 500121) {
    note_refusal(errand.request, user.error().number, resource, kSignInAction);
    return passkey_page(visitor, errand, user.error().message, 400);
  }
  if (!user) return refused(visitor, errand, user.error(), resource);
  // The device has asked who is there: two factors (RFC 8176 has no word for it; Entra says "fido").
  return go_on(visitor, errand, Proven{.user = *user, .amr = {"fido", std::string(kMfa)}});
}

}  // namespace merlon::identity
