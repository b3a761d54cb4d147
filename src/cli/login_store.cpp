// Configuration and token cache.
#include "cli/login_store.h"

#include <filesystem>

#include "base/text.h"
#include "base/time_text.h"
#include "base/uuid.h"
#include "cli/private_files.h"
#include "crypto/digest.h"
#include "net/client.h"

namespace merlon::cli {
namespace {

constexpr size_t kKeyLength = 32;

std::unexpected<Error> not_signed_in(std::string what) {
  return fail(ErrorKind::unauthenticated, "NotSignedIn",
              std::move(what) +
                  " Run 'merlon login --endpoint URL --ca FILE', or set MERLON_ENDPOINT, MERLON_CA, "
                  "MERLON_CLIENT_ID, MERLON_CLIENT_SECRET and MERLON_TENANT.");
}

std::string config_path(const std::string& directory) { return directory + "/config.json"; }

std::string tokens_directory(const std::string& directory) { return directory + "/tokens"; }

Result<void> override_server(const Context& context, Login& login) {
  if (const auto text = context.environment("MERLON_ENDPOINT")) {
    const std::string endpoint = TRY(normal_endpoint(*text));
    if (endpoint != login.endpoint) {
      login = Login();
      login.endpoint = endpoint;
    }
  }
  if (const auto path = context.environment("MERLON_CA")) login.authorities_pem = TRY(read_named_file(*path));
  if (const auto tenant = context.environment("MERLON_TENANT"); tenant && *tenant != login.tenant) {
    login.tenant = *tenant;
    login.client_id.clear();
    login.client_secret = Secret();
    login.username.clear();
  }
  return {};
}

void override_identity(const Context& context, Login& login) {
  if (const auto id = context.environment("MERLON_CLIENT_ID"); id && *id != login.client_id) {
    login.client_id = *id;
    login.client_secret = Secret();
    login.username.clear();
  }
  if (const auto secret = context.environment("MERLON_CLIENT_SECRET")) {
    login.client_secret = Secret(*secret);
    login.username.clear();
  }
}

}  // namespace

JsonObject Login::to_json() const {
  JsonObject json = {{"endpoint", endpoint}, {"ca", authorities_pem}, {"tenantId", tenant}};
  if (is_person()) {
    json["username"] = username;
  } else {
    json["clientId"] = client_id;
    json["clientSecret"] = client_secret.expose_text();
  }
  return json;
}

Result<Login> Login::from_json(const JsonObject& json) {
  Login login;
  login.endpoint = TRY(normal_endpoint(string_at(json, "endpoint").value_or("")));
  login.authorities_pem = string_at(json, "ca").value_or("");
  login.tenant = string_at(json, "tenantId").value_or("");
  login.username = string_at(json, "username").value_or("");
  login.client_id = login.is_person() ? kPublicClientId : string_at(json, "clientId").value_or("");
  if (!login.is_person()) login.client_secret = Secret(string_at(json, "clientSecret").value_or(""));
  return login;
}

Result<std::string> normal_endpoint(const std::string& text) {
  const auto url = net::parse_https_url(text);
  if (!url || url->target != "/")
    return wrong_usage("'" + text +
                       "' is not the address of a server. It looks like https://merlon.example:8443.");
  const bool v6 = url->host.find(':') != std::string::npos;
  std::string endpoint = "https://" + (v6 ? "[" + url->host + "]" : url->host);
  if (url->port != "443") endpoint += ":" + url->port;
  return endpoint;
}

Result<std::string> config_directory(const Context& context) {
  if (const auto directory = context.environment("MERLON_CONFIG_DIR")) return *directory;
  if (const auto home = context.environment("HOME")) return *home + "/.merlon";
  return fail(ErrorKind::invalid, "NoHomeDirectory",
              "There is no place for the login: neither HOME nor MERLON_CONFIG_DIR is set.");
}

Result<void> store_login(const Context& context, const Login& login) {
  return write_private_file(config_path(TRY(config_directory(context))),
                            to_pretty_text(Json(login.to_json())) + "\n");
}

Result<std::optional<Login>> stored_login(const Context& context) {
  const auto directory = config_directory(context);
  if (!directory) return std::nullopt;
  const std::string path = config_path(*directory);
  const auto text = TRY(read_private_file(path));
  if (!text) return std::nullopt;
  const auto json = parse_json_object(*text);
  auto login = json ? Login::from_json(*json) : Result<Login>(std::unexpected(json.error()));
  if (!login)
    return fail(ErrorKind::invalid, "LoginUnreadable",
                "The login in '" + path + "' does not read (" + login.error().message +
                    "). Sign in again with 'merlon login'.");
  return *std::move(login);
}

Result<Login> current_login(const Context& context) {
  Login login = TRY(stored_login(context)).value_or(Login{});
  TRY(override_server(context, login));
  override_identity(context, login);
  if (login.endpoint.empty()) return not_signed_in("You are not signed in.");
  if (login.tenant.empty()) return not_signed_in("The tenant of " + login.endpoint + " is not known.");
  if (login.client_id.empty())
    return not_signed_in("There is no credential for " + login.endpoint + ", tenant " + login.tenant + ".");
  if (!login.is_person() && login.client_secret.empty())
    return not_signed_in("There is no secret for the application " + login.client_id + ".");
  return login;
}

std::string token_path(const std::string& directory, const Login& login) {
  // Another secret is another login: what an old one got is not used on.
  std::string key;
  for (const std::string_view part :
       {std::string_view(login.endpoint), std::string_view(login.tenant), std::string_view(login.client_id),
        std::string_view(login.username), login.client_secret.expose_text(),
        std::string_view(login.authorities_pem)})
    key.append(std::to_string(part.size())).append(":").append(part);
  return tokens_directory(directory) + "/" + to_hex(crypto::sha256(as_bytes(key))).substr(0, kKeyLength) +
         ".json";
}

std::optional<CachedToken> cached_token(const Context& context, const Login& login) {
  const auto directory = config_directory(context);
  if (!directory) return std::nullopt;
  const auto text = read_private_file(token_path(*directory, login));
  if (!text || !*text) return std::nullopt;
  const auto json = parse_json_object(**text);
  if (!json) return std::nullopt;
  const auto expires = from_rfc3339(string_at(*json, "expires").value_or(""));
  if (!expires) return std::nullopt;
  return CachedToken{.access_token = Secret(string_at(*json, "accessToken").value_or("")),
                     .refresh_token = Secret(string_at(*json, "refreshToken").value_or("")),
                     .expires = *expires};
}

Result<void> cache_token(const Context& context, const Login& login, const CachedToken& token) {
  const JsonObject json = {{"accessToken", token.access_token.expose_text()},
                           {"refreshToken", token.refresh_token.expose_text()},
                           {"expires", to_rfc3339(token.expires)}};
  return write_private_file(token_path(TRY(config_directory(context)), login), to_text(json) + "\n");
}

bool is_fresh(const CachedToken& token, Timestamp now) {
  return !token.access_token.empty() && now + kTokenMargin < token.expires;
}

Result<bool> forget_login(const Context& context) {
  const std::string directory = TRY(config_directory(context));
  bool any = TRY(remove_file(config_path(directory)));
  std::error_code error;
  std::filesystem::directory_iterator files(tokens_directory(directory), error);
  if (error) return any;
  for (const auto& file : files) any = TRY(remove_file(file.path().string())) || any;
  return any;
}

}  // namespace merlon::cli
