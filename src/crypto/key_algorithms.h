// The names of Key Vault's algorithms, what each of them is, and which keys take it; for keys in memory and
// keys in a token alike. For this room.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/aes_modes.h"
#include "crypto/key_material.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {

enum class SignFamily { rsa_pkcs1, rsa_pss, ecdsa, hmac };
struct SignAlgorithm {
  std::string_view name;
  SignFamily family;
  DigestAlgorithm digest;
  size_t digest_bytes;
  std::string_view curve;  // each ES* belongs to one (RFC 7518 section 3.4, RFC 8812 section 3.2)
};

enum class RsaPadding { oaep, pkcs1 };
struct CryptAlgorithm {
  std::string_view name;
  RsaPadding padding;
  DigestAlgorithm digest;  // of OAEP and its MGF1
};

// What an algorithm is held against.
struct KeyShape {
  MaterialKind kind = MaterialKind::oct;
  unsigned bits = 0;
  std::string curve;
};

// Errors are BadParameter: not known, not for this key, or not a digest of its length.
Result<const SignAlgorithm*> sign_algorithm(std::string_view name, const KeyShape& key, ByteView digest);
Result<const CryptAlgorithm*> crypt_algorithm(std::string_view name, const KeyShape& key);
Result<AesMode> aes_mode(std::string_view name, const KeyShape& key);

size_t scalar_bytes(std::string_view curve);

}  // namespace merlon::crypto
