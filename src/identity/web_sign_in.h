// A person at a browser: who they are already (a cookie that names a stored session), the page on which they
// sign in, and what they send back. Shared by everything that a browser is sent to.
//
// A form is genuine when the browser that sends it is the one that it was made for: its sealed field names
// that browser's form cookie and the address that the form goes to, and the Origin header, where there is
// one, is ours.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identity/form_seal.h"
#include "identity/issuer.h"
#include "identity/page.h"
#include "identity/password_sign_in.h"
#include "identity/second_factor_sign_in.h"
#include "identity/sessions.h"

namespace merlon::identity {

struct Visitor {
  std::string browser;  // value of its form cookie
  std::optional<Session> session = {};
  std::optional<User> user = {};          // of the session
  std::vector<std::string> cookies = {};  // Set-Cookie values for the answer
};

// What the visitor came for.
struct Errand {
  const net::Request& request;
  std::string origin;
  std::string target;       // where the forms go
  std::string application;  // whose sign-in this is; empty for our own pages
  std::string login_hint;
  std::vector<std::string> form_sources;
};

class WebSignIn {
 public:
  WebSignIn(store::Store& store, ledger::Ledger& ledger, Directory& directory, Issuer& issuer,
            const Clock& clock, Random& random, PasswordSignIn& passwords, SecondFactorSignIn& second_factors)
      : store_(store),
        ledger_(ledger),
        directory_(directory),
        clock_(clock),
        random_(random),
        passwords_(passwords),
        second_factors_(second_factors),
        domain_(issuer.domain()),
        forms_(issuer.form_key()) {}

  Result<Visitor> visitor(const net::Request& request);
  // The page with the fields for name and password. A signed-in visitor may go on as who they are.
  net::Response page(const Visitor& visitor, const Errand& errand, const std::string& alert = {},
                     int status = 200);
  // The hidden field that makes a form genuine.
  HiddenFields hidden(const Visitor& visitor, const std::string& target, HiddenFields more = {}) const;
  bool is_genuine(const Visitor& visitor, const Errand& errand, const net::Query& form) const;
  net::Response not_genuine(const Visitor& visitor, const Errand& errand);

  // The forms of a sign-in: "sign-in", "second-factor", "change-password", "use-passkey" and "passkey".
  static bool is_step(std::string_view what);
  // Answers them. Nothing: the visitor is signed in now, go on.
  std::optional<net::Response> take(Visitor& visitor, const Errand& errand, const net::Query& form);
  // With the visitor's cookies.
  static net::Response with_cookies(net::Response response, const Visitor& visitor);
  // Ends the browser's session.
  Result<void> sign_out(Visitor& visitor, const net::Request& request);

  void note_refusal(const net::Request& request, int number, const std::string& resource,
                    std::string_view action);
  ledger::Entry entry(const net::Request& request, const User& user, std::string_view action) const;
  std::string path_of(const User& user) const { return passwords_.user_path(user.id); }
  const std::string& domain() const { return domain_; }
  // Passkeys belong to the domain: a page at another name, or at an address, cannot use them.
  bool knows_passkeys(const Errand& errand) const;
  const FormSeal& forms() const { return forms_; }

  static constexpr std::string_view kSignInAction = "Merlon.Identity/sessions/signIn/action";

 private:
  // A person before their session, and by what they are known (the claim amr).
  struct Proven {
    User user;
    std::vector<std::string> amr;
    bool has_mfa() const;
  };
  std::string ticket(std::string_view purpose, const Visitor& visitor, const Proven& proven) const;
  // Nothing: not ours, too late, or the password was changed since.
  Result<std::optional<Proven>> open_ticket(std::string_view purpose, const Visitor& visitor,
                                            const net::Query& form) const;
  net::Response second_factor_page(const Visitor& visitor, const Errand& errand, const Proven& proven,
                                   const std::string& alert, int status);
  net::Response change_page(const Visitor& visitor, const Errand& errand, const std::string& ticket,
                            const std::string& alert);
  net::Response refused(const Visitor& visitor, const Errand& errand, const SignInError& error,
                        const std::string& resource);
  std::optional<net::Response> check_password(Visitor& visitor, const Errand& errand, const net::Query& form);
  std::optional<net::Response> change_password(Visitor& visitor, const Errand& errand,
                                               const net::Query& form);
  std::optional<net::Response> check_second_factor(Visitor& visitor, const Errand& errand,
                                                   const net::Query& form);
  net::Response passkey_page(const Visitor& visitor, const Errand& errand, const std::string& alert,
                             int status);
  std::optional<net::Response> check_passkey(Visitor& visitor, const Errand& errand, const net::Query& form);
  SignIn<User> owner_of(const Errand& errand, const WebauthnQuestion& question, const net::Query& form);
  // Who has shown enough is signed in, or must change the password first.
  std::optional<net::Response> go_on(Visitor& visitor, const Errand& errand, const Proven& proven);
  SignIn<void> begin_session(Visitor& visitor, const Errand& errand, const Proven& proven);

  store::Store& store_;
  ledger::Ledger& ledger_;
  Directory& directory_;
  const Clock& clock_;
  Random& random_;
  PasswordSignIn& passwords_;
  SecondFactorSignIn& second_factors_;
  const std::string domain_;
  FormSeal forms_;
};

// A name given twice means two things: refused, as in forms (RFC 6749 section 3.1).
std::optional<std::string> repeated_parameter(const net::Query& query);
// The path and these parameters, encoded anew.
std::string target_of(const std::string& path, const net::Query& query);
std::string form_value(const net::Query& form, std::string_view name);
// The fields of a form that was posted; nothing for anything else.
std::optional<net::Query> posted_form(const net::Request& request);

}  // namespace merlon::identity
