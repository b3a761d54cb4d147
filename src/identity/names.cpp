// The form of names, after Entra's limits for directory objects.
#include "identity/names.h"

#include <algorithm>

#include "base/text.h"
#include "identity/audience.h"
#include "identity/directory.h"

namespace merlon::identity {
namespace {

constexpr size_t kDisplayNameMax = 256;
constexpr size_t kLocalPartMax = 64;
constexpr size_t kPrincipalNameMax = 113;
constexpr size_t kIdentifierMax = 255;
constexpr size_t kPasswordMin = 8;
constexpr size_t kPasswordMax = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_alphanumeric(char c) { return is_digit(c) || is_upper(c) || is_lower(c); }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_domain(std::string_view domain) {
  for (const std::string_view label : split(domain, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::ranges::all_of(label, [](char c) { return is_alphanumeric(c) || c == '-'; })) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string> display_name_problem(std::string_view name) {
  if (trim(name).empty()) return "is empty";
  if (name.size() > kDisplayNameMax) return "is longer than 256 bytes";
  if (!is_utf8(name) || std::ranges::any_of(name, is_control)) return "holds control characters";
  return std::nullopt;
}

std::optional<std::string> user_principal_name_problem(std::string_view name) {
  const size_t at = name.find('@');
  if (at == std::string_view::npos || name.find('@', at + 1) != std::string_view::npos)
    return "must have the form name@domain";
  const std::string_view local = name.substr(0, at);
  if (local.empty() || local.size() > kLocalPartMax || name.size() > kPrincipalNameMax)
    return "must have 1 to 64 characters before the @ and at most 113 in all";
  const auto allowed = [](char c) {
    return is_alphanumeric(c) || std::string_view("'.-_!#^~").find(c) != std::string_view::npos;
  };
  if (!std::ranges::all_of(local, allowed) || local.front() == '.' || local.back() == '.')
    return "may hold letters, digits and '.-_!#^~ before the @, and no dot at either end";
  if (!is_domain(name.substr(at + 1))) return "must end in a domain name";
  return std::nullopt;
}

std::optional<std::string> identifier_uri_problem(std::string_view uri) {
  const std::string_view rest = ascii_istarts_with(uri, "api://")     ? uri.substr(6)
                                : ascii_istarts_with(uri, "https://") ? uri.substr(8)
                                                                      : std::string_view();
  if (rest.empty()) return "must begin with api:// or https:// and name something";
  if (uri.size() > kIdentifierMax) return "is longer than 255 bytes";
  if (!std::ranges::all_of(uri, [](char c) { return c > 0x20 && c < 0x7f; }))
    return "may hold visible ASCII only";
  if (uri.back() == '/') return "must not end in a slash";
  if (is_reserved_audience(uri)) return "belongs to a built-in API";
  return std::nullopt;
}

std::optional<std::string> password_weakness(std::string_view password,
                                             std::string_view user_principal_name) {
  if (password.size() < kPasswordMin || password.size() > kPasswordMax)
    return "must have 8 to 256 characters";
  if (!is_utf8(password) || password.find('\0') != std::string_view::npos) return "must be UTF-8 text";
  const bool symbols = std::ranges::any_of(password, [](char c) { return !is_alphanumeric(c); });
  const int kinds = static_cast<int>(std::ranges::any_of(password, is_upper)) +
                    static_cast<int>(std::ranges::any_of(password, is_lower)) +
                    static_cast<int>(std::ranges::any_of(password, is_digit)) + static_cast<int>(symbols);
  if (kinds < 3) return "must hold three of: upper case letters, lower case letters, digits, symbols";
  const std::string local = ascii_lower(user_principal_name.substr(0, user_principal_name.find('@')));
  if (local.size() >= 4 && ascii_lower(password).find(local) != std::string::npos)
    return "must not hold the name of the account";
  return std::nullopt;
}

}  // namespace merlon::identity
