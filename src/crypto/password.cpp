// Argon2id through libsodium: the one primitive that OpenSSL 3.0 lacks.
#include "crypto/password.h"

#include <sodium.h>

#include <array>

namespace merlon::crypto {
namespace {

// RFC 9106 section 4, second choice: 64 MiB and three passes. libsodium always uses one lane.
constexpr unsigned long long kPasses = 3;
constexpr size_t kMemoryBytes = 64UL * 1024 * 1024;
// A bound, so that hashing cost does not depend on what somebody types.
constexpr size_t kPasswordBytesMax = 4096;

}  // namespace

Result<std::string> hash_password(const Secret& password) {
  if (password.size() > kPasswordBytesMax)
    return fail(ErrorKind::invalid, "InvalidPassword",
                "The password is longer than 4096 bytes. Choose a shorter one.");
  MERLON_CHECK(sodium_init() >= 0);
  std::array<char, crypto_pwhash_argon2id_STRBYTES> out{};
  const std::string_view text = password.expose_text();
  if (crypto_pwhash_argon2id_str(out.data(), text.empty() ? "" : text.data(), text.size(), kPasses,
                                 kMemoryBytes) != 0)
    return fail(ErrorKind::unavailable, "ServiceUnavailable",
                "The server has not enough memory to hash a password (64 MiB). Try again.");
  return std::string(out.data());
}

bool verify_password(const Secret& password, const std::string& hash) {
  if (password.size() > kPasswordBytesMax || hash.size() >= crypto_pwhash_argon2id_STRBYTES ||
      hash.find('\0') != std::string::npos || !hash.starts_with(crypto_pwhash_argon2id_STRPREFIX))
    return false;
  MERLON_CHECK(sodium_init() >= 0);
  // The record's own parameters must not cost more than ours: a hash is also read from restored backups.
  // libsodium answers 0 for equal parameters, 1 for others, -1 for what it cannot read.
  if (crypto_pwhash_argon2id_str_needs_rehash(hash.c_str(), kPasses, kMemoryBytes) != 0) return false;
  const std::string_view text = password.expose_text();
  return crypto_pwhash_argon2id_str_verify(hash.c_str(), text.empty() ? "" : text.data(), text.size()) == 0;
}

}  // namespace merlon::crypto
