// Reading and comparing redirect URIs.
#include "identity/redirect_uri.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace merlon::identity {
namespace {

constexpr size_t kUriMax = 256;  // Entra's bound

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_allowed(char c) {
  return c > 0x20 && c < 0x7f && std::string_view("\"<>\\^`{|}#*").find(c) == std::string_view::npos;
}

// "..", "%2e%2e", and a slash or backslash that only a second decoding would show.
bool is_tricky(std::string_view path) {
  const std::string lower = ascii_lower(path);
  for (const std::string_view bad : {"%2f", "%5c", "%00", "%0a", "%0d", "%25"})
    if (lower.find(bad) != std::string::npos) return true;
  std::string plain;
  for (size_t i = 0; i < lower.size(); ++i) {
    const bool dot = lower.compare(i, 3, "%2e") == 0;
    plain += dot ? '.' : lower[i];
    if (dot) i += 2;
  }
  return std::ranges::any_of(split(plain, '/'),
                             [](std::string_view part) { return part == "." || part == ".."; });
}

bool is_host(std::string_view host) {
  if (host == "[::1]") return true;
  return !host.empty() && std::ranges::all_of(host, [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '-';
  });
}

bool is_port(std::string_view port) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  return error == std::errc() && end == port.data() + port.size() && value >= 1 && value <= 65535;
}

bool read_authority(std::string_view authority, RedirectParts& parts) {
  const size_t bracket = authority.find(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  parts.host = authority.substr(0, colon);
  if (colon != std::string_view::npos) {
    parts.port = authority.substr(colon + 1);
    if (!is_port(parts.port)) return false;
  }
  return is_host(parts.host);
}

}  // namespace

bool RedirectParts::is_loopback() const {
  return scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "[::1]");
}

std::optional<RedirectParts> parse_redirect_uri(std::string_view uri) {
  if (uri.empty() || uri.size() > kUriMax || !std::ranges::all_of(uri, is_allowed)) return std::nullopt;
  const size_t colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_letter(uri.front())) return std::nullopt;
  RedirectParts parts;
  parts.scheme = uri.substr(0, colon);
  const auto in_scheme = [](char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  };
  if (!std::ranges::all_of(parts.scheme, in_scheme)) return std::nullopt;
  std::string_view rest = uri.substr(colon + 1);
  if (parts.scheme == "http" || parts.scheme == "https") {
    if (!rest.starts_with("//")) return std::nullopt;
    rest.remove_prefix(2);
    const size_t end = std::min(rest.find_first_of("/?"), rest.size());
    if (!read_authority(rest.substr(0, end), parts)) return std::nullopt;
    rest.remove_prefix(end);
  } else if (ascii_iequal(parts.scheme, "http") || ascii_iequal(parts.scheme, "https")) {
    return std::nullopt;
  }
  parts.rest = rest;
  if (is_tricky(rest.substr(0, rest.find('?')))) return std::nullopt;
  return parts;
}

std::optional<std::string> redirect_uri_problem(const RedirectUri& redirect) {
  const auto parts = parse_redirect_uri(redirect.uri);
  if (!parts)
    return "is not an absolute URI without user information, fragment, wildcard and dot segments, of at most "
           "256 characters";
  if (parts->scheme == "https") return std::nullopt;
  if (parts->scheme == "http")
    return parts->is_loopback() ? std::nullopt
                                : std::optional<std::string>(
                                      "must be https; http is for localhost, 127.0.0.1 and [::1] alone");
  if (redirect.kind == RedirectKind::web) return "must be https";
  // RFC 8252 section 7.1: a private scheme is a domain name turned around. "javascript:" and the like have no
  // dot.
  const bool own = parts->scheme.find('.') != std::string::npos || parts->scheme.starts_with("msal");
  if (!own) return "has a scheme that does not belong to one application, such as com.example.app";
  return std::nullopt;
}

bool redirect_uri_matches(const RedirectUri& registered, std::string_view asked) {
  const auto wanted = parse_redirect_uri(asked);
  if (!wanted) return false;
  if (registered.uri == asked) return true;
  if (registered.kind != RedirectKind::public_client) return false;
  const auto known = parse_redirect_uri(registered.uri);
  const auto path = [](const RedirectParts& parts) {
    return parts.rest.empty() ? std::string("/") : parts.rest;
  };
  return known && known->is_loopback() && wanted->is_loopback() && known->host == wanted->host &&
         path(*known) == path(*wanted);
}

std::string redirect_source(const RedirectParts& parts) {
  if (parts.host.empty()) return parts.scheme + ":";
  return parts.scheme + "://" + parts.host + (parts.port.empty() ? "" : ":" + parts.port);
}

}  // namespace merlon::identity
