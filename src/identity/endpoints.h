// The protocol faces of identity on the control plane: OpenID discovery, JWKS, OAuth 2.0's endpoints in
// Entra's form (/{tenant}/oauth2/v2.0/token, /{tenant}/oauth2/token, and beside token: authorize, devicecode,
// revoke, logout) and in AD FS's (/adfs/oauth2/token, also /{tenant}/b2c_adfs/…), the pages on which people
// sign in, the page for a device's code (/devicelogin), and the part of Microsoft Graph that tools call
// (/v1.0/users, groups, applications, servicePrincipals, me, organization).
#pragma once

#include <memory>

#include "identity/directory.h"
#include "identity/foreign_issuer.h"
#include "identity/issuer.h"
#include "ledger/ledger.h"
#include "net/http.h"

namespace merlon::identity {

class Endpoints {
 public:
  Endpoints(store::Store& store, ledger::Ledger& ledger, Directory& directory, Issuer& issuer,
            const Clock& clock, Random& random, IssuerAccess foreign_issuers);
  ~Endpoints();
  // Graph::ask_fresh_where(). Before the first request.
  void ask_fresh_where(std::function<Result<bool>(store::Reader&)> guarded);
  // Nothing when the path is not one of identity's. Blocks (store, Argon2id): call it on a worker. `origin`
  // is "https://host:port" of the request.
  std::optional<net::Response> handle(const net::Request& request, const std::string& origin);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace merlon::identity
