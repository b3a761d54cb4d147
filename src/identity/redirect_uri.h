// Where a sign-in may be sent back to (RFC 6749 section 3.1.2, RFC 9700 section 4.1): a URI that was
// registered for the application, compared character by character. The one exception is Entra's and RFC
// 8252's (section 7.3): a native application on this machine listens on a port that it does not know
// beforehand, so the port of a registered loopback URI is free.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace merlon::identity {

enum class RedirectKind { web, public_client };

struct RedirectUri {
  std::string uri;
  RedirectKind kind = RedirectKind::web;
  bool operator==(const RedirectUri&) const = default;
};

// The parts, for what has been read strictly: no user information, fragment, control or non-ASCII character,
// no dot segment, no backslash or slash in disguise. `host` is empty for an application's own scheme.
struct RedirectParts {
  std::string scheme, host, port;
  std::string rest;  // path and query
  bool is_loopback() const;
};
std::optional<RedirectParts> parse_redirect_uri(std::string_view uri);

// What is wrong with a URI that somebody wants to register ("has a fragment"), or nothing.
std::optional<std::string> redirect_uri_problem(const RedirectUri& redirect);

bool redirect_uri_matches(const RedirectUri& registered, std::string_view asked);

// For a Content-Security-Policy: "https://app.example:8443", or "com.example.app:".
std::string redirect_source(const RedirectParts& parts);

}  // namespace merlon::identity
