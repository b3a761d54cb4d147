// The OAuth 2.0 token endpoint (RFC 6749 section 3.2) in Entra's v1 and v2 forms and in AD FS's: client
// credentials by secret and by certificate assertion, user name and password, authorization codes, device
// codes, refresh tokens. Also where device codes come from, the revocation of a refresh token (RFC 7009), and
// AD FS's password change.
//
// Every token is in the ledger before it leaves: the entry is written in the transaction that also uses up
// the assertion, the code or the refresh token, and the answer is sent after that commit.
#pragma once

#include <optional>
#include <string>

#include "identity/claims_request.h"
#include "identity/client_authentication.h"
#include "identity/codes.h"
#include "identity/directory.h"
#include "identity/issuer.h"
#include "identity/password_sign_in.h"
#include "identity/reserve_sign_ins.h"
#include "identity/scope.h"
#include "identity/second_factor_sign_in.h"
#include "identity/sessions.h"
#include "identity/tenant_path.h"
#include "ledger/ledger.h"
#include "net/http.h"

namespace merlon::identity {

struct TokenParts {
  store::Store& store;
  ledger::Ledger& ledger;
  Directory& directory;
  Issuer& issuer;
  const Clock& clock;
  Random& random;
  PasswordSignIn& passwords;
  SecondFactorSignIn& second_factors;
  SignInGuard& guard;
  Federation& federation;
};

// One request to the endpoint, read.
struct TokenRequest {
  const net::Request& request;
  std::string origin;
  TenantPath path;
  Dialect dialect = Dialect::v2;
  net::Query form;
  ClaimsRequest claims{};
  bool wants_client_info = false;
  // Of a client_assertion that a foreign issuer has signed.
  std::optional<SignIn<ForeignProof>> foreign{};
  std::string ledger_resource;  // what a refusal is about, as far as it is known
  const std::string* field(std::string_view name) const { return form.find(name); }
};

// Everything that a grant has decided, ready to be signed and recorded.
struct Grant {
  TokenSubject subject;
  std::string name;  // grant_type
  Uuid credential_id;
  bool openid = false;
  std::string nonce;               // for the id_token
  std::optional<Session> session;  // of a person: new, or used once more
  std::string code_digest;         // the authorization code, or the device code, that is used up
  std::optional<AssertionUse> assertion_use;
  std::optional<RefreshToken> refresh;  // to be stored
  std::string refresh_text;             // its text, for the client
  std::string rotated_digest;           // the refresh token that it replaces
};

class TokenEndpoint {
 public:
  explicit TokenEndpoint(TokenParts parts) : parts_(parts) {}
  net::Response token(const net::Request& request, const std::string& origin, const TenantPath& path,
                      Dialect dialect);
  net::Response device_code(const net::Request& request, const std::string& origin, const TenantPath& path,
                            Dialect dialect);
  net::Response revoke(const net::Request& request, const std::string& origin, const TenantPath& path,
                       Dialect dialect);
  net::Response change_password(const net::Request& request);

 private:
  SignIn<JsonObject> answer(TokenRequest& request);
  SignIn<TokenRequest> read(const net::Request& request, const std::string& origin, const TenantPath& path,
                            Dialect dialect) const;
  // Before any transaction: it may have to ask a foreign issuer for its keys.
  std::optional<SignIn<ForeignProof>> foreign_proof(const net::Query& form) const;
  SignIn<ClientClaim> client_claim(const TokenRequest& request) const;
  SignIn<RequestedScope> requested_scope(const TokenRequest& request) const;
  AssertionContext assertion_context(const TokenRequest& request) const;

  SignIn<Grant> client_credentials(TokenRequest& request);
  SignIn<Grant> password(TokenRequest& request);
  SignIn<Grant> refresh_token(TokenRequest& request);
  SignIn<Grant> authorization_code(TokenRequest& request);
  SignIn<Grant> device_code_grant(TokenRequest& request);
  SignIn<Client> user_client(const TokenRequest& request, store::Reader& reader) const;
  // What a person's token is for: what was asked, or what there is to be had without asking.
  enum class Consent { given_with_the_password, needed };
  SignIn<std::string> user_audience(const TokenRequest& request, store::Reader& reader, const Client& client,
                                    const std::string& audience, Consent consent) const;
  Grant user_grant(const TokenRequest& request, const User& user, const Client& client,
                   const std::string& stamp) const;
  Session new_session(const TokenRequest& request, const Grant& grant) const;
  void add_refresh_token(Grant& grant) const;
  SignIn<Grant> redeem(store::Reader& reader, TokenRequest& request, const AuthorizationCode& code);
  SignIn<Grant> redeem(store::Reader& reader, TokenRequest& request, const DeviceCode& code,
                       const Client& client);
  SignIn<void> check_redemption(const TokenRequest& request, const AuthorizationCode& code,
                                const Client& client) const;
  Result<bool> note_poll(const DeviceCode& code);
  SignIn<JsonObject> new_device_code(TokenRequest& request);
  SignIn<void> revoke_token(TokenRequest& request);
  // A code or a token was used a second time: whoever has it, what came of it ends.
  Result<void> end_reused(const TokenRequest& request, const Uuid& session, const Uuid& user,
                          std::string_view what);

  SignIn<JsonObject> issue(const TokenRequest& request, Grant grant);
  Result<void> record(store::Transaction& tx, const TokenRequest& request, const Grant& grant);
  Result<bool> may_use_reserve(const Uuid& principal);
  bool sweep_is_due();
  Result<void> use_up(store::Transaction& tx, const TokenRequest& request, const Grant& grant);
  Result<void> use_up_code(store::Transaction& tx, const Grant& grant);
  JsonObject response_body(const TokenRequest& request, const Grant& grant,
                           const std::string& access_token) const;
  net::Response refused(const TokenRequest& request, const SignInError& error, std::string_view action);
  void note_refusal(const net::Request& request, const SignInError& error, const std::string& resource,
                    std::string_view action);
  std::string tenant_path() const { return "/tenants/" + parts_.directory.tenant().text(); }

  TokenParts parts_;
  ReserveSignIns on_reserve_;
  std::optional<Duration> swept_;  // of the writer's thread alone
};

}  // namespace merlon::identity
