// Keys that somebody imports: whatever the JSON Web Key says, it is a key that can be stored and read back,
// or an error of the caller's.
#include "crypto/key_material.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto jwk = parse_json_object(as_text({data, size}));
  if (!jwk) return 0;
  const auto key = crypto::KeyMaterial::from_jwk(*jwk);
  if (!key) {
    MERLON_CHECK(key.error().kind == ErrorKind::invalid);
    return 0;
  }
  const auto loaded = crypto::KeyMaterial::load(key->store());
  MERLON_CHECK(loaded && to_text(loaded->public_jwk()) == to_text(key->public_jwk()));
  MERLON_CHECK(loaded->is_private() == key->is_private());
  const Bytes digest(32, 1);
  static_cast<void>(
      key->verify(key->kind() == crypto::MaterialKind::ec ? "ES256" : "RS256", digest, {data, size}));
  return 0;
}
