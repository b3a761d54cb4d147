// SHA-2 and HMAC (FIPS 180-4, RFC 2104) over OpenSSL EVP. Thread-safe; algorithms are fetched once.
#pragma once

#include <array>

#include "base/bytes.h"

namespace merlon::crypto {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest sha256(ByteView data);
Bytes sha1(ByteView data);  // only for x5t thumbprints (RFC 7515 section 4.1.7)
Bytes hmac_sha256(ByteView key, ByteView data);
Bytes hmac_sha1(ByteView key,
                ByteView data);  // only for one-time codes, as authenticator apps make them (RFC 6238)

}  // namespace merlon::crypto
