// The ledger's signing key and what it signs. Not for other rooms: ledger.h is theirs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/key.h"
#include "ledger/ledger.h"

namespace merlon::ledger {

std::optional<Hash> hash_of_text(std::string_view hex);
// Canonical JSON of {keyId, root, size, tenantId, time}.
std::string signed_text(const SignedHead& head);
bool head_verifies(const SignedHead& head, const crypto::PublicKey& key);

class HeadSigner {
 public:
  explicit HeadSigner(crypto::PrivateKey key);  // Ed25519
  Result<SignedHead> sign(const TenantId& tenant, const Frontier& frontier, Timestamp time) const;
  const std::string& key_id() const { return key_id_; }
  const std::string& pem() const { return pem_; }
  const crypto::PublicKey& public_key() const { return public_key_; }

 private:
  crypto::PrivateKey key_;
  crypto::PublicKey public_key_;
  std::string key_id_;
  std::string pem_;
};

}  // namespace merlon::ledger
