// Reading and writing cookies.
#include "identity/cookies.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::identity {
namespace {

constexpr size_t kValueLength = 43;  // 32 bytes
constexpr std::string_view kAttributes = "; Path=/; Secure; HttpOnly; SameSite=Lax";

bool is_value(std::string_view value) {
  return value.size() == kValueLength && std::ranges::all_of(value, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '_';
         });
}

}  // namespace

std::optional<std::string> read_cookie(const net::Headers& headers, std::string_view name) {
  std::optional<std::string> found;
  for (const auto& [header, text] : headers.all()) {
    if (!ascii_iequal(header, "Cookie")) continue;
    for (const std::string_view part : split(text, ';')) {
      const std::string_view pair = trim(part);
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
      const std::string_view value = pair.substr(equals + 1);
      if (!is_value(value) || (found && *found != value)) return std::nullopt;
      found = value;
    }
  }
  return found;
}

std::string set_cookie(std::string_view name, std::string_view value) {
  return std::string(name) + "=" + std::string(value) + std::string(kAttributes);
}

std::string set_strict_cookie(std::string_view name, std::string_view value) {
  return std::string(name) + "=" + std::string(value) + "; Path=/; Secure; HttpOnly; SameSite=Strict";
}

std::string clear_cookie(std::string_view name) {
  return std::string(name) + "=; Max-Age=0" + std::string(kAttributes);
}

}  // namespace merlon::identity
