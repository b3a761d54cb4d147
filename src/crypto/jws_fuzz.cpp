// Tokens and JWKs from anybody. A token that parses must be made of exactly the parts that it was read from,
// and must not verify with a key that did not sign it.
#include <cstdlib>

#include "crypto/jose.h"

using namespace merlon;
using namespace merlon::crypto;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = as_text({data, size});
  static const PublicKey key = PrivateKey::generate(KeyKind::ec_p256)->public_key();
  if (const auto parts = parse_jws(text)) {
    if (parts->signing_input + "." + to_base64url(parts->signature) != text) std::abort();
    if (!parts->header.contains("alg") || parts->header.contains("crit")) std::abort();
    if (verify_jws(*parts, SignatureAlgorithm::es256, key)) std::abort();
  }
  if (const auto jwk = parse_json_object(text)) {
    if (const auto read = from_jwk(*jwk)) {
      const auto again = from_jwk(to_jwk(*read));
      if (!again || jwk_thumbprint(*again) != jwk_thumbprint(*read)) std::abort();
    }
  }
  return 0;
}
