// Cookies of the sign-in pages (RFC 6265bis): both have the prefix __Host-, so that no other host, path or
// plain-text connection can set them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace merlon::identity {

inline constexpr std::string_view kSessionCookie = "__Host-merlon-session";  // who is signed in here
inline constexpr std::string_view kFormCookie = "__Host-merlon-form";  // which browser a form was made for

// The value of a cookie of ours: 43 characters of base64url. Nothing when it is absent, of another form, or
// there twice with two values: somebody tried to put theirs before ours.
std::optional<std::string> read_cookie(const net::Headers& headers, std::string_view name);

// Values of Set-Cookie. Both end with the browser; the server ends a session whatever the browser keeps.
std::string set_cookie(std::string_view name, std::string_view value);
// Never sent with what another site has begun (SameSite=Strict).
std::string set_strict_cookie(std::string_view name, std::string_view value);
std::string clear_cookie(std::string_view name);

}  // namespace merlon::identity
