// Which server to speak to, and as whom: what `merlon login` stored, overridden by the environment.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/secret.h"
#include "cli/command.h"

namespace merlon::cli {

// The public client that Azure CLI is: people sign in through it (see identity/bootstrap.h).
inline constexpr const char* kPublicClientId = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

struct Login {
  std::string endpoint;         // "https://merlon.localhost:8443", without a slash at the end
  std::string authorities_pem;  // empty: the system's
  std::string tenant;
  std::string client_id;
  Secret client_secret;  // empty for a person, who has a refresh token instead
  std::string username;  // of a person

  bool is_person() const { return !username.empty(); }
  std::string audience() const { return endpoint + "/"; }
  JsonObject to_json() const;
  static Result<Login> from_json(const JsonObject& json);
};

// "https://host:port" of what a person typed; a usage error for anything that is no https URL.
Result<std::string> normal_endpoint(const std::string& text);

// MERLON_CONFIG_DIR, or ~/.merlon.
Result<std::string> config_directory(const Context& context);

Result<void> store_login(const Context& context, const Login& login);
Result<std::optional<Login>> stored_login(const Context& context);
// The stored login with what MERLON_* says in its place. A stored secret never goes to another endpoint or
// tenant than the one that it was stored for. NotSignedIn when something is missing.
Result<Login> current_login(const Context& context);

// An access token with its end, kept between commands (0600), one file for each login.
struct CachedToken {
  Secret access_token;
  Secret refresh_token;  // may be empty
  Timestamp expires;
};
inline constexpr auto kTokenMargin = std::chrono::seconds(60);  // a token that is about to end is not used

std::string token_path(const std::string& directory, const Login& login);
// Nothing when there is none, or when it does not read: it can be had again.
std::optional<CachedToken> cached_token(const Context& context, const Login& login);
Result<void> cache_token(const Context& context, const Login& login, const CachedToken& token);
bool is_fresh(const CachedToken& token, Timestamp now);

// Login and tokens; true when there was anything.
Result<bool> forget_login(const Context& context);

}  // namespace merlon::cli
