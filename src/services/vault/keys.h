// Keys: making, importing, changing and rotating them.
#pragma once

#include <variant>

#include "crypto/key_material.h"
#include "services/vault/hsm_keys.h"
#include "services/vault/objects.h"

namespace merlon::vault {

// What a new version is made of, before any transaction: making an RSA key takes its time.
struct MadeKey {
  std::variant<crypto::KeyMaterial, KeyInToken> where;
  crypto::MaterialKind kind() const;
  bool is_private() const;
};

class Keys {
 public:
  Keys(const resource::Core& core, const HsmKeys& hsm) : objects_(core), hsm_(hsm) {}

  Result<void> make(Asked& asked) const;  // gather of create
  Result<void> take(Asked& asked) const;  // gather of import
  Result<Answer> add(Asked& asked, store::Transaction& tx) const;
  Result<Answer> get(Asked& asked, store::Reader& reader) const;
  Result<Answer> update(Asked& asked, store::Transaction& tx) const;
  Result<void> make_like_newest(Asked& asked) const;  // gather of rotate
  Result<Answer> rotate(Asked& asked, store::Transaction& tx) const;
  Result<Answer> policy(Asked& asked, store::Reader& reader) const;
  Result<Answer> set_policy(Asked& asked, store::Transaction& tx) const;

  // A version of the same kind as the newest, with new material; the rotation policy's expiry when it has
  // one.
  Result<Version> rotate_to(store::Transaction& tx, const Vault& vault, const Object& object,
                            const MadeKey& made, Timestamp now) const;
  // New material of the kind and size of a version's, where that is. Out of any transaction.
  Result<MadeKey> make_like(const Vault& vault, const Version& version) const;
  // As a body asks for it (kty, key_size, crv, public_exponent, key_ops); "-HSM" in the token. Out of any
  // transaction.
  Result<MadeKey> make_new(const Vault& vault, const std::string& name, const JsonObject& body) const;
  // A version with a new id, its public half and its sealed material; the rest is the caller's.
  Result<Version> new_version(store::Transaction& tx, const Vault& vault, ObjectName name,
                              const MadeKey& made) const;
  const Objects& objects() const { return objects_; }

 private:
  Objects objects_;
  const HsmKeys& hsm_;
};

// In memory, as the data plane asks for it: kty, key_size, crv, public_exponent. Errors: BadParameter.
Result<crypto::KeyMaterial> generate_key(const JsonObject& body, Random& random);
// Whether it takes more than a millisecond: RSA, and whatever a token makes.
bool takes_long_to_make(const JsonObject& body);
// A version with a new id and the public half; the rest is the caller's.
Version new_key_version(const Objects& objects, ObjectName name, const crypto::KeyMaterial& material);
// Attributes of keys alone, and the release policy. Errors: BadParameter.
Result<Facts> read_key_facts(const JsonObject& body, Facts facts, Timestamp now, bool is_new);
// What a new key may do: as the body says, or all that it can.
Result<std::vector<std::string>> read_made_ops(const Json* ops, const MadeKey& made);
Result<std::vector<std::string>> read_key_ops(const Json* ops, crypto::MaterialKind kind, bool is_private);

}  // namespace merlon::vault
