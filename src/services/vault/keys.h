// Keys: making, importing, changing and rotating them.
#pragma once

#include "crypto/key_material.h"
#include "services/vault/objects.h"

namespace merlon::vault {

// What a new version is made of, before any transaction: making an RSA key takes its time.
struct MadeKey {
  crypto::KeyMaterial material;
};

class Keys {
 public:
  explicit Keys(const resource::Core& core) : objects_(core) {}

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
                            const crypto::KeyMaterial& material, Timestamp now) const;
  const Objects& objects() const { return objects_; }

 private:
  Objects objects_;
};

// As the data plane asks for it: kty, key_size, crv, public_exponent. Errors: BadParameter, NotSupported.
Result<crypto::KeyMaterial> generate_key(const JsonObject& body, Random& random);
// A version with a new id and the public half; the rest is the caller's.
Version new_key_version(const Objects& objects, ObjectName name, const crypto::KeyMaterial& material);
// New material of the kind and size of a version's.
Result<crypto::KeyMaterial> make_like(const Version& version, Random& random);
// Attributes of keys alone, and the release policy. Errors: BadParameter.
Result<Facts> read_key_facts(const JsonObject& body, Facts facts, Timestamp now, bool is_new);
Result<std::vector<std::string>> read_key_ops(const Json* ops, crypto::MaterialKind kind, bool is_private);

}  // namespace merlon::vault
