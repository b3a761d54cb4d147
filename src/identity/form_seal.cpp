// Signing what a browser brings back.
#include "identity/form_seal.h"

#include <charconv>

#include "base/text.h"
#include "crypto/digest.h"

namespace merlon::identity {
namespace {

constexpr size_t kTextMax = 2048;

}  // namespace

std::string FormSeal::signature(std::string_view purpose, std::string_view browser, std::string_view expires,
                                std::string_view payload) const {
  std::string input = "merlon form 1";
  // With lengths, so that no two lists of parts give the same text.
  for (const std::string_view part : {purpose, browser, expires, payload})
    input.append("|").append(std::to_string(part.size())).append(":").append(part);
  return to_base64url(crypto::hmac_sha256(key_.expose(), as_bytes(input)));
}

std::string FormSeal::make(std::string_view purpose, std::string_view browser, std::string_view payload,
                           Timestamp expires) const {
  const std::string until =
      std::to_string(std::chrono::floor<std::chrono::seconds>(expires).time_since_epoch().count());
  return until + "." + to_base64url(as_bytes(payload)) + "." + signature(purpose, browser, until, payload);
}

std::optional<std::string> FormSeal::open(std::string_view purpose, std::string_view browser,
                                          std::string_view text, Timestamp now) const {
  if (text.size() > kTextMax || browser.empty()) return std::nullopt;
  const auto parts = split(text, '.');
  if (parts.size() != 3) return std::nullopt;
  const auto payload = from_base64url(parts[1]);
  int64_t until = 0;
  const auto [end, error] = std::from_chars(parts[0].data(), parts[0].data() + parts[0].size(), until);
  if (!payload || error != std::errc() || end != parts[0].data() + parts[0].size()) return std::nullopt;
  const std::string wanted = signature(purpose, browser, parts[0], as_text(*payload));
  if (!constant_time_equal(as_bytes(wanted), as_bytes(parts[2]))) return std::nullopt;
  if (now >= Timestamp(std::chrono::seconds(until))) return std::nullopt;
  return std::string(as_text(*payload));
}

}  // namespace merlon::identity
