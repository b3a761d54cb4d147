// Checking the second factor of a person whose password was right: what every way to sign in shares, so that
// none of them is an easier way to guess than the others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "identity/directory.h"
#include "identity/second_factors.h"
#include "identity/sign_in_error.h"
#include "identity/sign_in_guard.h"
#include "ledger/ledger.h"
#include "net/http.h"

namespace merlon::identity {

// The claim amr (RFC 8176) of who has given more than a password.
inline constexpr std::string_view kMfa = "mfa";

class SecondFactorSignIn {
 public:
  SecondFactorSignIn(store::Store& store, ledger::Ledger& ledger, const SecondFactors& factors,
                     SignInGuard& guard, const Clock& clock)
      : store_(store), ledger_(ledger), factors_(factors), guard_(guard), clock_(clock) {}

  const SecondFactors& factors() const { return factors_; }
  Result<bool> required(const User& user) const;
  // Uses the code up. What it adds to amr: "otp" and "mfa", or "mfa" alone for a recovery code, whose use the
  // ledger enters. `resource` is the user's path, for the ledger.
  SignIn<std::vector<std::string>> check(const net::Request& request, const User& user, std::string_view code,
                                         const std::string& resource);

 private:
  store::Store& store_;
  ledger::Ledger& ledger_;
  const SecondFactors& factors_;
  SignInGuard& guard_;
  const Clock& clock_;
};

}  // namespace merlon::identity
