// HOTP (RFC 4226) over time steps.
#include "identity/totp.h"

#include <array>

#include "crypto/digest.h"
#include "net/http.h"

namespace merlon::identity {
namespace {

constexpr Duration kStep = std::chrono::seconds(30);
constexpr size_t kDigits = 6;
constexpr uint32_t kModulus = 1'000'000;
constexpr size_t kTypedMax = 64;

std::optional<std::string> digits_of(std::string_view typed) {
  if (typed.size() > kTypedMax) return std::nullopt;
  std::string digits;
  for (const char c : typed) {
    if (c == ' ' || c == '-') continue;
    if (c < '0' || c > '9') return std::nullopt;
    digits += c;
  }
  if (digits.size() != kDigits) return std::nullopt;
  return digits;
}

}  // namespace

int64_t totp_step(Timestamp now) { return now.time_since_epoch() / kStep; }

std::string totp_code(const Secret& secret, int64_t step) {
  std::array<uint8_t, 8> counter{};
  for (size_t i = 0; i < counter.size(); ++i)
    counter[i] = static_cast<uint8_t>(static_cast<uint64_t>(step) >> (8 * (7 - i)));
  const Bytes mac = crypto::hmac_sha1(secret.expose(), counter);
  // RFC 4226 section 5.3: 31 bits from where the last four say.
  const size_t at = mac.back() & 0x0fU;
  const uint32_t number = (mac[at] & 0x7fU) << 24U | static_cast<uint32_t>(mac[at + 1]) << 16U |
                          static_cast<uint32_t>(mac[at + 2]) << 8U | mac[at + 3];
  std::string code = std::to_string(number % kModulus);
  code.insert(0, kDigits - code.size(), '0');
  return code;
}

std::optional<int64_t> totp_match(const Secret& secret, std::string_view typed, Timestamp now,
                                  int64_t last_used) {
  const auto digits = digits_of(typed);
  if (!digits) return std::nullopt;
  const int64_t current = totp_step(now);
  std::optional<int64_t> found;
  for (const int64_t step : {current - 1, current, current + 1}) {
    const bool equal = constant_time_equal(as_bytes(totp_code(secret, step)), as_bytes(*digits));
    if (equal && step > last_used && !found) found = step;
  }
  return found;
}

std::string base32(ByteView data) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string text;
  uint32_t buffer = 0;
  unsigned bits = 0;
  for (const uint8_t byte : data) {
    buffer = (buffer << 8U | byte) & 0xfffU;
    for (bits += 8; bits >= 5; bits -= 5) text += kLetters[buffer >> (bits - 5) & 31U];
  }
  if (bits > 0) text += kLetters[buffer << (5 - bits) & 31U];
  return text;
}

std::string otpauth_uri(const Secret& secret, std::string_view issuer, std::string_view account) {
  return "otpauth://totp/" + net::percent_encode(issuer) + ":" + net::percent_encode(account) +
         "?secret=" + base32(secret.expose()) + "&issuer=" + net::percent_encode(issuer) +
         "&algorithm=SHA1&digits=6&period=30";
}

}  // namespace merlon::identity
