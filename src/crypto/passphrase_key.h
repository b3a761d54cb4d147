// A key from a passphrase by Argon2id (RFC 9106). Unlike a password's hash (password.h) it is the key of
// something, so that an offline guess costs what the parameters say, and nothing but the right passphrase
// opens it.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace merlon::crypto {

// Stored beside what the key wraps.
struct PassphraseParameters {
  Bytes salt;  // 16 bytes
  int64_t passes = 0;
  int64_t memory_bytes = 0;
};

inline constexpr size_t kPassphraseBytesMin = 12;
inline constexpr size_t kPassphraseBytesMax = 1024;

PassphraseParameters new_passphrase_parameters(Random& random);  // 256 MiB, four passes: about a second
// 32 bytes. Parameters that cost more than eight times ours are refused: a record must not take the machine's
// memory.
Result<Secret> derive_passphrase_key(const Secret& passphrase, const PassphraseParameters& parameters);

}  // namespace merlon::crypto
