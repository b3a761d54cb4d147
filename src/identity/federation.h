// Workload identity federation: a token of a foreign issuer as client_assertion (RFC 7523 section 2.2,
// learn.microsoft.com/entra/workload-id/workload-identity-federation). The credential is found by what the
// token says of itself, exactly as written or by an expression; then the token must prove it with a signature
// by one of the issuer's keys.
#pragma once

#include <optional>
#include <string_view>

#include "crypto/jose.h"
#include "identity/client_assertion.h"
#include "identity/federated_credentials.h"
#include "identity/foreign_issuer.h"

namespace merlon::identity {

// What an assertion has proved, before any transaction: the credential as it was then.
struct ForeignProof {
  FederatedCredential credential;
  AssertionUse use;  // `peer` is the caller's to fill
};

class Federation {
 public:
  Federation(store::Store& store, TenantId tenant, const Clock& clock, IssuerAccess access)
      : store_(store), tenant_(std::move(tenant)), clock_(clock), issuers_(std::move(access), clock) {}

  // Nothing when the assertion is the client's own (signed by its certificate), or no JWT at all. May ask the
  // issuer for its keys, so no transaction may be open.
  std::optional<SignIn<ForeignProof>> prove(const Uuid& client_id, std::string_view assertion);

 private:
  SignIn<ForeignProof> verify(const Uuid& client_id, const crypto::JwsParts& parts,
                              const std::string& issuer);
  Result<ForeignIssuers::Keys> keys_of(const FederatedCredential& credential, std::string_view key_id);
  SignIn<FederatedCredential> credential_of(const Uuid& client_id, const crypto::JwsParts& parts,
                                            const std::string& issuer) const;

  store::Store& store_;
  const TenantId tenant_;
  const Clock& clock_;
  ForeignIssuers issuers_;
};

// In the transaction that uses the proof: the credential must still be what it was.
SignIn<void> check_still_trusted(store::Reader& reader, const TenantId& tenant, const ForeignProof& proof);

}  // namespace merlon::identity
