// Time-based one-time codes (RFC 6238) as authenticator apps make them: HMAC-SHA1, six digits, a new code
// every 30 seconds. The secret is told to the app once, in an otpauth URI
// (github.com/google/google-authenticator/wiki/Key-Uri-Format).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/secret.h"

namespace merlon::identity {

inline constexpr size_t kTotpSecretBytes = 20;  // RFC 4226 section 4, R6: 160 bits

// Which code is the current one: 30-second steps since 1970.
int64_t totp_step(Timestamp now);
std::string totp_code(const Secret& secret, int64_t step);
// The step that the typed code belongs to: the current one, the one before or the one after (RFC 6238
// section 5.2), and later than `last_used`, which makes every code good once. All three are compared,
// whichever fits. Spaces are left out, as apps show "123 456".
std::optional<int64_t> totp_match(const Secret& secret, std::string_view typed, Timestamp now,
                                  int64_t last_used);

std::string base32(ByteView data);  // RFC 4648 section 6, without padding
// "otpauth://totp/Merlon:ada%40merlon.example.org?secret=…&issuer=Merlon&…"
std::string otpauth_uri(const Secret& secret, std::string_view issuer, std::string_view account);

}  // namespace merlon::identity
