// People and their passwords: checking one, and changing one. What the token endpoint, AD FS's password
// change and the sign-in page share, so that none of them is an easier way to guess than the others.
#pragma once

#include <string>

#include "identity/directory.h"
#include "identity/password_gate.h"
#include "identity/sign_in_error.h"
#include "identity/sign_in_guard.h"
#include "ledger/ledger.h"
#include "net/http.h"

namespace merlon::identity {

class PasswordSignIn {
 public:
  PasswordSignIn(store::Store& store, ledger::Ledger& ledger, Directory& directory, const Clock& clock,
                 PasswordGate& gate, SignInGuard& guard)
      : store_(store), ledger_(ledger), directory_(directory), clock_(clock), gate_(gate), guard_(guard) {}

  // The enabled user whose password this is. The same work, and the same answer, for a wrong password and for
  // a name that nobody has; `ledger_resource` becomes the user where the name is known.
  SignIn<User> check(const net::Request& request, const std::string& name, const Secret& password,
                     std::string& ledger_resource);
  // For a user as check() gave it: refused when the password was changed since. Ends all sessions of the
  // user; in the ledger. `confirmed` and `old_password` (empty = not known) are compared.
  SignIn<void> change(const net::Request& request, const User& user, const Secret& new_password,
                      const Secret& confirmed, const Secret& old_password);

  std::string user_path(const Uuid& id) const {
    return "/tenants/" + directory_.tenant().text() + "/users/" + id.text();
  }

  static constexpr const char* kChangeAction = "microsoft.directory/users/password/update";

 private:
  store::Store& store_;
  ledger::Ledger& ledger_;
  Directory& directory_;
  const Clock& clock_;
  PasswordGate& gate_;
  SignInGuard& guard_;
};

}  // namespace merlon::identity
