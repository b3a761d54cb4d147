// Somebody at a bastion's pages. The browser has a random cookie, the server this row; it holds for the one
// origin that it was made for, and no longer than the sign-in that it came from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identity/principal.h"
#include "net/http.h"
#include "resource/core.h"
#include "store/table.h"

namespace merlon::terminal {

inline constexpr std::string_view kWebSessionCookie = "__Host-merlon-bastion";
inline constexpr auto kWebSessionLife = std::chrono::hours(8);

struct WebSession {
  std::string digest;   // of the cookie: SHA-256, hex
  std::string host;     // "bst-….bastion.example.org:8443", as the browser names it
  std::string bastion;  // resource id
  identity::Principal principal;
  std::string stamp;  // identity::session_stamp() when it began
  Timestamp created, expires;
  // Indexes: expires.
  static const store::TableSpec& table();
  std::string key() const { return digest; }
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<WebSession> from_json(const JsonObject& json);
};

std::string web_session_digest(std::string_view cookie);
// Of the request's cookie: known, for this host, in time, and its sign-in still stands. Unauthenticated
// otherwise.
Result<WebSession> find_web_session(store::Reader& reader, const resource::Core& core,
                                    const net::Request& request);
Result<void> forget_old_web_sessions(const resource::Core& core, Timestamp now);

}  // namespace merlon::terminal
