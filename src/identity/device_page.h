// Where people enter the code that a device shows (RFC 8628 section 3.3), signed in, and say whether they
// started it: /devicelogin.
#pragma once

#include "identity/codes.h"
#include "identity/web_sign_in.h"

namespace merlon::identity {

class DevicePage {
 public:
  DevicePage(store::Store& store, ledger::Ledger& ledger, Directory& directory, const Clock& clock,
             SignInGuard& guard, WebSignIn& people)
      : store_(store),
        ledger_(ledger),
        directory_(directory),
        clock_(clock),
        guard_(guard),
        people_(people) {}

  net::Response handle(const net::Request& request, const std::string& origin);

 private:
  net::Response failed(const net::Request& request, const Error& error);
  net::Response ask_code(const Visitor& visitor, const Errand& errand, const std::string& alert);
  net::Response ask_consent(const Visitor& visitor, const Errand& errand, const DeviceCode& code);
  net::Response find_code(const Visitor& visitor, const Errand& errand, const net::Query& form);
  net::Response decide(const Visitor& visitor, const Errand& errand, const net::Query& form, bool allow);
  Result<std::optional<DeviceCode>> pending(store::Reader& reader, const std::string& typed) const;
  Result<bool> write_decision(const Visitor& visitor, const Errand& errand, const std::string& user_code,
                              bool allow);

  store::Store& store_;
  ledger::Ledger& ledger_;
  Directory& directory_;
  const Clock& clock_;
  SignInGuard& guard_;
  WebSignIn& people_;
};

}  // namespace merlon::identity
