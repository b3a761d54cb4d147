// AES-256-GCM with a random 96-bit nonce that travels in front of the ciphertext: nonce ‖ ciphertext ‖
// 128-bit tag (NIST SP 800-38D). At most 2^32 messages per key: callers rotate keys far below that.
#pragma once

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace merlon::crypto {

inline constexpr size_t kAes256KeyBytes = 32;

// `key` must be 32 bytes (checked: anything else is a bug).
Bytes aead_seal(const Secret& key, ByteView plaintext, ByteView associated_data, Random& random);
// Any change to nonce, ciphertext, tag or associated data is an error; nothing of the plaintext is given out
// then.
Result<Secret> aead_open(const Secret& key, ByteView sealed, ByteView associated_data);

}  // namespace merlon::crypto
