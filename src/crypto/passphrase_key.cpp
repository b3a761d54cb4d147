// Argon2id through libsodium, with one lane as it always has.
#include "crypto/passphrase_key.h"

#include <sodium.h>

#include "crypto/aead.h"

namespace merlon::crypto {
namespace {

constexpr int64_t kPasses = 4;
constexpr int64_t kMemoryBytes = 256L * 1024 * 1024;
constexpr int64_t kCostMax = 8;

}  // namespace

PassphraseParameters new_passphrase_parameters(Random& random) {
  return {random.bytes(crypto_pwhash_SALTBYTES), kPasses, kMemoryBytes};
}

Result<Secret> derive_passphrase_key(const Secret& passphrase, const PassphraseParameters& parameters) {
  if (passphrase.size() < kPassphraseBytesMin || passphrase.size() > kPassphraseBytesMax)
    return fail(
        ErrorKind::invalid, "InvalidPassphrase",
        "A passphrase has 12 to 1024 bytes. Choose one that nobody guesses: six random words, for example.");
  if (parameters.salt.size() != crypto_pwhash_SALTBYTES || parameters.passes < 1 ||
      parameters.passes > kPasses * kCostMax ||
      parameters.memory_bytes < static_cast<int64_t>(crypto_pwhash_argon2id_MEMLIMIT_MIN) ||
      parameters.memory_bytes > kMemoryBytes * kCostMax)
    return internal_error("the parameters of a passphrase's key are out of range");
  MERLON_CHECK(sodium_init() >= 0);
  Bytes key(kAes256KeyBytes);
  if (crypto_pwhash(key.data(), key.size(), passphrase.expose_text().data(), passphrase.size(),
                    parameters.salt.data(), static_cast<unsigned long long>(parameters.passes),
                    static_cast<size_t>(parameters.memory_bytes), crypto_pwhash_ALG_ARGON2ID13) != 0)
    return fail(
        ErrorKind::unavailable, "ServiceUnavailable",
        "There is not enough memory to derive the key of a passphrase (256 MiB). Free some, and try again.");
  return Secret(std::move(key));
}

}  // namespace merlon::crypto
