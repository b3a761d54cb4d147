// Keys whose material lies in the server's hardware token: which of its objects are whose, so that none is
// left behind and none is destroyed that a version names.
//
// A key is made in the token before the transaction that files it. So that a crash between the two leaves
// nothing behind, a row says beforehand that there may be such an object; filing the version takes the row
// away, in one transaction. Destroying a version puts one there. What is due of these rows is destroyed
// (sweep).
#pragma once

#include <memory>

#include "crypto/hsm.h"
#include "resource/call.h"
#include "services/vault/key_gate.h"
#include "services/vault/records.h"

namespace merlon::vault {

// An object in the token that no version names.
struct TokenObject {
  std::string id;  // the version's id, whose bytes are the object's CKA_ID
  Timestamp due;
  bool doomed = false;  // to be destroyed: no version may take it any more
  static const store::TableSpec& table();
  std::string key() const { return id; }
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<TokenObject> from_json(const JsonObject& json);
};

// A key that was made in the token, and waits for its version.
struct KeyInToken {
  std::string version_id;
  JsonObject public_key;
  crypto::MaterialKind kind = crypto::MaterialKind::rsa;
  int64_t oct_bits = 0;
};

class HsmKeys {
 public:
  HsmKeys(const resource::Core& core, std::unique_ptr<crypto::Hsm> hsm) : core_(core), hsm_(std::move(hsm)) {}

  // Errors: NotSupported without a token; Forbidden in a vault that is not premium, as in Azure;
  // BadParameter. `signs`: a symmetric key for HMAC, and not for AES. Opens a transaction of its own.
  Result<KeyInToken> make(const Vault& vault, const std::string& name, crypto::HsmKeyWish wish) const;
  // In the transaction that files the version. Errors: unavailable, when that took so long that the sweep was
  // faster.
  Result<void> keep(store::Transaction& tx, const KeyInToken& made) const;
  // The token, for a key of it. Errors: unavailable.
  Result<crypto::Hsm*> token() const;
  bool has_token() const { return hsm_ != nullptr; }
  // Whose turn it is to make a key because of a request: in the token, or here.
  KeyGate& gate() const { return gate_; }

  using Guard = std::function<Result<void>(store::Transaction&)>;
  Result<void> sweep(const Guard& guard, Timestamp now) const;

 private:
  Result<void> require_allowed(const Vault& vault) const;

  const resource::Core& core_;
  std::unique_ptr<crypto::Hsm> hsm_;
  mutable KeyGate gate_;
};

// In the transaction that erases the version: its object goes too, soon.
Result<void> doom(store::Transaction& tx, const TenantId& tenant, const Version& version, Timestamp now);
// How the token finds a version's key.
crypto::HsmKey key_in_token(const Version& version);

}  // namespace merlon::vault
