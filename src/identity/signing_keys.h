// The keys that sign tokens. The private part is sealed; the name of a key (kid) is its RFC 7638 thumbprint,
// so a name can never come to mean another key.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "crypto/key.h"
#include "seal/seal.h"
#include "store/store.h"

namespace merlon::identity {

struct SigningKey {
  std::string id;
  std::string certificate_pem;  // self-signed: some clients read x5c and x5t instead of n and e
  std::string x5t;
  Timestamp created;
  crypto::PrivateKey key;
};

// The stored keys, newest first; makes the first one when there is none.
Result<std::vector<SigningKey>> open_signing_keys(store::Store& store, const seal::Seal& seal,
                                                  const Clock& clock, Random& random, const TenantId& tenant,
                                                  const std::string& domain);

JsonObject to_jwks_entry(const SigningKey& key);

}  // namespace merlon::identity
