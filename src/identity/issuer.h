// The token issuer: signing keys (RS256, sealed), access tokens, the discovery documents, and the
// verification of our own tokens. The OAuth endpoints are token_endpoint.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/directory.h"
#include "ledger/ledger.h"
#include "seal/seal.h"

namespace merlon::identity {

struct IssuerParameters {
  TenantId tenant;
  std::string domain;  // "merlon.localhost"
  std::vector<std::string>
      own_audiences;  // extra Resource Manager audiences, e.g. "https://merlon.localhost:8443/"
};

// How the client application proved itself: the claim appidacr.
enum class ClientProof { none, secret, certificate };

struct TokenSubject {
  Principal principal;
  std::string audience;
  std::string scope;  // delegated tokens: "user_impersonation"; empty for application tokens
  std::string user_principal_name;
  std::string session_id;    // the session (sessions.h) that the token ends with; applications may have none
  std::string display_name;  // users: the claim "name"
  std::string
      stamp;  // session_stamp() (sessions.h) when the credential was checked; empty before any revocation
  ClientProof proof = ClientProof::none;
  std::string resource_id = {};               // managed identities: the claim "xms_mirid"
  std::string machine_id = {};                // the machine that it is issued to: the claim "xms_az_rid"
  bool understands_claims_challenge = false;  // the client asked for xms_cc ["CP1"]
};

// What an id_token says beyond the access token's subject. `issuer` is the one in the discovery document that
// the client read: "<origin>/<tid>/v2.0", "<origin>/<tid>/" or "<origin>/adfs".
struct IdTokenForm {
  std::string issuer;
  std::string version;  // "1.0" or "2.0"
  std::string nonce;
};

enum class Rotation;  // signing_keys.h

enum class Api { resource_manager, graph, vault };

class Issuer {
 public:
  static Result<std::unique_ptr<Issuer>> open(store::Store& store, const seal::Seal& seal, const Clock& clock,
                                              Random& random, IssuerParameters parameters);
  virtual ~Issuer() = default;

  // `origin` is "https://host:port" as the client asked for it: iss must match it (msal-common checks).
  virtual Result<std::string> issue(const TokenSubject& subject, const std::string& origin,
                                    Duration lifetime) = 0;
  // Whether a requested resource or audience names the Resource Manager: our own origins, with or without a
  // trailing or doubled slash, Azure's own ARM audiences, and the configured ones.
  virtual bool is_resource_manager(std::string_view audience) const = 0;
  // As above, also true for the very origin that was asked: a server answers on addresses that it was never
  // told.
  virtual bool is_resource_manager_at(std::string_view audience, const std::string& origin) const = 0;
  // Whether it names the data plane of the vaults: "https://vault.<domain>" at any port, and Azure's own
  // names.
  virtual bool is_vault(std::string_view audience) const = 0;
  // For the client application itself (aud = its app id): never accepted as an access token.
  virtual Result<std::string> issue_id_token(const TokenSubject& subject, const IdTokenForm& form,
                                             Duration lifetime) = 0;
  // Reads "Bearer …": signature by our key, iss one of ours, tid, exp and nbf (5 min skew), aud for the
  // Resource Manager (Graph takes both its own and the Resource Manager's; the vaults' data plane only its
  // own), the principal exists and is
  // enabled, the token is not older than a revocation. Errors are unauthenticated with Azure's codes:
  // AuthenticationFailed (no header), InvalidAuthenticationToken, ExpiredAuthenticationToken,
  // InvalidAuthenticationTokenAudience, InvalidAuthenticationTokenTenant.
  virtual Result<Principal> authenticate(store::Reader& reader, std::string_view authorization,
                                         const IpAddress& peer, Api api = Api::resource_manager) = 0;
  virtual JsonObject jwks() = 0;
  // The keys as an administrator sees them, and their rotation: make_key() is slow and belongs before the
  // transaction that adopts the key.
  virtual Result<JsonArray> describe_keys(store::Reader& reader) = 0;
  virtual Result<store::Row> make_key(Rotation rotation) = 0;
  virtual Result<void> adopt_key(store::Transaction& tx, const store::Row& made, Rotation rotation) = 0;
  // What time makes due: a new key before the old one is too old, and the end of keys that nothing living is
  // signed with. Cheap to call often; from one thread.
  virtual Result<void> tick(ledger::Ledger& ledger) = 0;
  // Signs the forms of the sign-in pages (form_seal.h).
  virtual const Secret& form_key() const = 0;
  // Keeps people's second factors (second_factors.h).
  virtual const seal::Seal& seal() const = 0;
  virtual const std::string& domain() const = 0;
  virtual const TenantId& tenant() const = 0;
};

}  // namespace merlon::identity
