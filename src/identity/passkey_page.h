// Where people add a passkey, signed in: /passkeys.
#pragma once

#include "identity/passkeys.h"
#include "identity/web_sign_in.h"

namespace merlon::identity {

class PasskeyPage {
 public:
  PasskeyPage(store::Store& store, ledger::Ledger& ledger, Directory& directory, const Clock& clock,
              Random& random, const SecondFactors& factors, WebSignIn& people)
      : store_(store),
        ledger_(ledger),
        directory_(directory),
        clock_(clock),
        random_(random),
        factors_(factors),
        people_(people) {}

  net::Response handle(const net::Request& request, const std::string& origin);

 private:
  net::Response failed(const net::Request& request, const Error& error);
  // Signed in, and so lately that a stolen session does not make itself a lasting way in.
  Result<bool> is_fresh(const Visitor& visitor) const;
  net::Response ask(const Visitor& visitor, const Errand& errand, const std::string& alert, int status);
  net::Response add(const Visitor& visitor, const Errand& errand, const net::Query& form);
  struct Added {
    Passkey passkey;
    std::vector<std::string> recovery_codes;  // the first ones, with the first method
  };
  Result<Added> write(const Visitor& visitor, const Errand& errand, const std::string& name,
                      const AuthenticatorData& made);

  store::Store& store_;
  ledger::Ledger& ledger_;
  Directory& directory_;
  const Clock& clock_;
  Random& random_;
  const SecondFactors& factors_;
  WebSignIn& people_;
};

}  // namespace merlon::identity
