// The keys that sign tokens. The private part is sealed; the name of a key (kid) is its RFC 7638 thumbprint,
// so a name can never come to mean another key.
//
// Keys rotate: a new one is published a day before it signs, so that whoever keeps our keys has it by then,
// and the old one stays until the last token that it signed has expired. All of it is in the rows (when a key
// begins to sign), so it goes on after a crash, and every server does the same at the same time. A
// generation, read with every use, tells a server that the rows have changed.
#pragma once

#include <memory>
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
  Timestamp signs_from;
  crypto::PrivateKey key;
  crypto::PublicKey public_half;  // to take it out of the key costs more than to verify with it
};

// Newest first, by when they begin to sign.
struct SigningKeys {
  std::string generation;
  std::vector<SigningKey> keys;
  // The newest that signs already.
  const SigningKey& signer(Timestamp now) const;
};

enum class Rotation {
  announced,    // signs a day from now
  at_once,      // signs now; what the old ones signed stays good until it expires
  compromised,  // the old ones are gone, and every token that they signed with them
};

class SigningKeyStore {
 public:
  SigningKeyStore(const seal::Seal& seal, const Clock& clock, Random& random, TenantId tenant,
                  std::string domain)
      : seal_(seal), clock_(clock), random_(random), tenant_(std::move(tenant)), domain_(std::move(domain)) {}

  // Makes the first key when there is none.
  Result<SigningKeys> open(store::Store& store) const;
  Result<SigningKeys> load(store::Reader& reader) const;
  Result<std::string> generation(store::Reader& reader) const;

  // Finding primes takes long: outside of the transaction.
  Result<store::Row> make(Rotation rotation) const;
  // Puts a key that was made in force. Conflict when one is announced already and another is to be.
  Result<void> adopt(store::Transaction& tx, const store::Row& made, Rotation rotation) const;
  // Removes the keys that no living token is signed with; their names.
  Result<std::vector<std::string>> remove_retired(store::Transaction& tx) const;

  bool rotation_is_due(const SigningKeys& keys) const;
  bool any_retired(const SigningKeys& keys) const;

 private:
  Result<std::vector<store::Row>> rows(store::Reader& reader) const;
  Result<void> next_generation(store::Transaction& tx) const;

  const seal::Seal& seal_;
  const Clock& clock_;
  Random& random_;
  const TenantId tenant_;
  const std::string domain_;
};

JsonObject to_jwks_entry(const SigningKey& key);

}  // namespace merlon::identity
