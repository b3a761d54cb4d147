// The AES modes that Key Vault's symmetric keys are used in, by their names there: A256GCM, A256CBC,
// A256CBCPAD, A256KW and the PKCS#11 names of key wrap. Not for sealing Merlon's own secrets: aead.h is for
// that.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/key_material.h"

namespace merlon::crypto {

enum class AesMode { gcm, cbc, cbc_pad, key_wrap, key_wrap_pad };
struct AesAlgorithm {
  AesMode mode;
  size_t key_bytes;  // 0: whatever the key has
};
// Nothing for names that are no AES algorithm of Key Vault.
std::optional<AesAlgorithm> aes_algorithm(std::string_view name);

Result<Encrypted> aes_encrypt(AesMode mode, const Secret& key, const EncryptParameters& parameters,
                              ByteView plaintext, Random& random);
Result<Secret> aes_decrypt(AesMode mode, const Secret& key, const DecryptParameters& parameters,
                           ByteView ciphertext);
Result<Bytes> aes_wrap(AesMode mode, const Secret& key, ByteView secret);
Result<Secret> aes_unwrap(AesMode mode, const Secret& key, ByteView wrapped);

// What the above refuse before they look at the key, for keys that are elsewhere (hsm.h).
Result<void> check_aes_encrypt(AesMode mode, const EncryptParameters& parameters, ByteView plaintext);
Result<void> check_aes_decrypt(AesMode mode, const DecryptParameters& parameters, ByteView ciphertext);
Result<void> check_aes_wrap(AesMode mode, ByteView secret);
Result<void> check_aes_unwrap(AesMode mode, ByteView wrapped);
inline constexpr size_t kGcmNonceBytes = 12;
inline constexpr size_t kGcmTagBytes = 16;
inline constexpr size_t kAesBlockBytes = 16;

// What every failed decryption answers, whatever the reason.
std::unexpected<Error> decryption_failed();

}  // namespace merlon::crypto
