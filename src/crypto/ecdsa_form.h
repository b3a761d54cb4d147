// The two forms of an ECDSA signature: DER (RFC 3279 section 2.2.3: X.509, WebAuthn) and raw r‖s (JOSE).
#pragma once

#include <optional>

#include "base/bytes.h"

namespace merlon::crypto {

// `scalar_bytes` is 32 for P-256. Nothing for what is no signature, is longer than one, or does not fit.
std::optional<Bytes> ecdsa_der_of_raw(ByteView raw, size_t scalar_bytes);
std::optional<Bytes> ecdsa_raw_of_der(ByteView der, size_t scalar_bytes);

}  // namespace merlon::crypto
