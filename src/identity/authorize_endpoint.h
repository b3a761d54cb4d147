// The authorization endpoint and the logout endpoint, in Entra's and AD FS's forms: what a browser is sent
// to.
#pragma once

#include <string>

#include "identity/authorize_request.h"
#include "identity/web_sign_in.h"

namespace merlon::identity {

class AuthorizeEndpoint {
 public:
  AuthorizeEndpoint(store::Store& store, ledger::Ledger& ledger, Directory& directory, const Issuer& issuer,
                    const Clock& clock, Random& random, WebSignIn& people)
      : store_(store),
        ledger_(ledger),
        directory_(directory),
        issuer_(issuer),
        clock_(clock),
        random_(random),
        people_(people) {}

  net::Response authorize(const net::Request& request, const std::string& origin, const TenantPath& path,
                          Dialect dialect);
  // RP-initiated logout (OpenID Connect), with a question first: a link must not sign anybody out.
  net::Response logout(const net::Request& request, const std::string& origin);

 private:
  struct Asked {
    AuthorizeRequest request;
    std::string issuer;  // RFC 9207
  };
  net::Response refuse_on_page(const net::Request& request, const SignInError& error);
  net::Response refused(const net::Request& request, const Asked& asked, const SignInError& error);
  net::Response answer(const Asked& asked, const net::Query& parameters, const Visitor& visitor, int status);
  net::Response show(Visitor& visitor, const Errand& errand, const Asked& asked);
  net::Response give_code(Visitor& visitor, const Errand& errand, const Asked& asked, int status);
  bool may_go_on(const Visitor& visitor, const AuthorizeRequest& asked) const;

  store::Store& store_;
  ledger::Ledger& ledger_;
  Directory& directory_;
  const Issuer& issuer_;
  const Clock& clock_;
  Random& random_;
  WebSignIn& people_;
};

}  // namespace merlon::identity
