// JWS and JWK (RFC 7515, 7517, 7638, 8725), the compact form only. The algorithm comes from our record of the
// key, never from the token's header; `none`, unknown `crit`, embedded `jwk`/`jku` and non-canonical
// base64url are refused.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "crypto/key.h"

namespace merlon::crypto {

struct JwsParts {
  JsonObject header;
  JsonObject payload;
  Bytes signature;
  std::string signing_input;  // "header.payload" as it came
};

// Form only: verifies nothing. Bounded to 16 KiB. Used to find which key to verify with.
Result<JwsParts> parse_jws(std::string_view compact);
// True when the header's alg is `algorithm` and the signature verifies.
bool verify_jws(const JwsParts& parts, SignatureAlgorithm algorithm, const PublicKey& key);
// `header` gains alg; give it typ, kid, x5t and so on.
Result<std::string> sign_jws(JsonObject header, const JsonObject& payload, SignatureAlgorithm algorithm,
                             const PrivateKey& key);

JsonObject to_jwk(const PublicKey& key);  // kty and the key's own members
Result<PublicKey> from_jwk(const JsonObject& jwk);
std::string jwk_thumbprint(const PublicKey& key);  // RFC 7638, base64url of SHA-256

}  // namespace merlon::crypto
