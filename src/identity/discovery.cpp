// Discovery in Entra's two forms and AD FS's.
#include "identity/discovery.h"

#include "identity/audience.h"
#include "identity/record_fields.h"
#include "identity/reply.h"
#include "identity/sign_in_error.h"

namespace merlon::identity {
namespace {

constexpr std::string_view kConfiguration = ".well-known/openid-configuration";

struct Paths {
  std::string token, authorize, device, logout, revoke, keys;
};

Paths paths_of(Dialect dialect, const TenantPath& path) {
  const std::string prefix = path.prefix();
  const std::string oauth = prefix + (dialect == Dialect::v2 ? "/oauth2/v2.0/" : "/oauth2/");
  return {.token = oauth + "token",
          .authorize = oauth + "authorize",
          .device = oauth + "devicecode",
          .logout = oauth + "logout",
          .revoke = oauth + "revoke",
          .keys = prefix + (dialect == Dialect::v2 ? "/discovery/v2.0/keys" : "/discovery/keys")};
}

net::Response keys_reply(Issuer& issuer, const std::string& origin, Dialect dialect) {
  JsonObject keys = issuer.jwks();
  for (Json& key : keys["keys"].as_array())
    key.as_object()["issuer"] = issuer_of(dialect, origin, issuer.tenant());
  return json_reply(200, keys);
}

// MSAL's question about a host that it does not know. Other hosts than ours are not for us to vouch for.
net::Response instance_reply(const net::Request& request, const std::string& origin, const TenantId& tenant) {
  const std::string* endpoint = request.query.find("authorization_endpoint");
  const auto url = endpoint == nullptr ? std::nullopt : parse_audience_url(*endpoint);
  const auto own = parse_audience_url(origin);
  if (!url || !own || !url->same_origin(*own))
    return json_reply(400, {{"error", "invalid_instance"},
                            {"error_description", "AADSTS50049: Unknown or invalid instance."},
                            {"error_codes", JsonArray{50049}}});
  const std::string host = origin.substr(std::string_view("https://").size());
  return json_reply(
      200,
      {{"tenant_discovery_endpoint", origin + "/" + tenant.text() + "/v2.0/" + std::string(kConfiguration)},
       {"api-version", "1.1"},
       {"metadata",
        JsonArray{JsonObject{
            {"preferred_network", host}, {"preferred_cache", host}, {"aliases", JsonArray{host}}}}}});
}

}  // namespace

std::string issuer_of(Dialect dialect, const std::string& origin, const TenantId& tenant) {
  if (dialect == Dialect::adfs) return origin + "/adfs";
  return origin + "/" + tenant.text() + (dialect == Dialect::v2 ? "/v2.0" : "/");
}

JsonObject openid_configuration(const Issuer& issuer, const std::string& origin, const TenantPath& path,
                                Dialect dialect) {
  const Paths paths = paths_of(dialect, path);
  return {
      {"token_endpoint", origin + paths.token},
      {"token_endpoint_auth_methods_supported",
       JsonArray{"client_secret_post", "private_key_jwt", "client_secret_basic"}},
      {"token_endpoint_auth_signing_alg_values_supported", JsonArray{"RS256", "PS256"}},
      {"jwks_uri", origin + paths.keys},
      {"response_modes_supported", JsonArray{"query", "fragment", "form_post"}},
      {"subject_types_supported", JsonArray{"pairwise"}},
      {"id_token_signing_alg_values_supported", JsonArray{"RS256"}},
      {"response_types_supported", JsonArray{"code"}},
      {"scopes_supported", JsonArray{"openid", "profile", "email", "offline_access"}},
      {"grant_types_supported", JsonArray{"authorization_code", "client_credentials", "password",
                                          "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"}},
      {"code_challenge_methods_supported", JsonArray{"S256"}},
      {"authorization_response_iss_parameter_supported", true},
      {"issuer", issuer_of(dialect, origin, issuer.tenant())},
      {"access_token_issuer", origin + "/" + issuer.tenant().text() + "/"},
      {"authorization_endpoint", origin + paths.authorize},
      {"device_authorization_endpoint", origin + paths.device},
      {"end_session_endpoint", origin + paths.logout},
      {"revocation_endpoint", origin + paths.revoke},
      {"userinfo_endpoint", origin + "/oidc/userinfo"},
      {"claims_supported", JsonArray{"sub", "iss", "aud", "exp", "iat", "auth_time", "amr", "oid", "tid",
                                     "ver", "name", "upn", "preferred_username"}},
      {"request_uri_parameter_supported", false},
      {"http_logout_supported", false},
      {"frontchannel_logout_supported", false},
      {"tenant_region_scope", nullptr},
      {"cloud_instance_name", origin.substr(std::string_view("https://").size())},
      {"cloud_graph_host_name", origin.substr(std::string_view("https://").size())},
      {"msgraph_host", origin.substr(std::string_view("https://").size())},
      {"rbac_url", origin}};
}

std::optional<net::Response> handle_discovery(Issuer& issuer, const net::Request& request,
                                              const std::string& origin, const TenantPath& path,
                                              Timestamp now) {
  const std::string rest = path.rest_text();
  if (path.tenant == "common" && rest == "discovery/instance")
    return instance_reply(request, origin, issuer.tenant());
  // The same answer for every name: MSAL goes on with the plain password grant, and nobody learns who exists.
  if (path.tenant == "common" && rest.starts_with("userrealm/"))
    return json_reply(404, {{"error", "not_found"}});
  const bool second = rest == "v2.0/" + std::string(kConfiguration) || rest == "discovery/v2.0/keys";
  const bool first = rest == kConfiguration || rest == "discovery/keys";
  if (!first && !second) return std::nullopt;
  const Dialect dialect = path.is_adfs() ? Dialect::adfs : second ? Dialect::v2 : Dialect::v1;
  if (!path.known)
    return error_reply(
        SignInError(90002, "Tenant '" + path.tenant.substr(0, 64) +
                               "' not found. Check to make sure you have the correct tenant ID and are "
                               "signing into the correct cloud."),
        request, now);
  if (request.method != "GET" && request.method != "HEAD") {
    net::Response response = json_reply(405, {{"error", "invalid_request"}});
    response.headers.set("Allow", "GET, HEAD");
    return response;
  }
  if (rest.ends_with("keys")) return keys_reply(issuer, origin, dialect);
  return json_reply(200, openid_configuration(issuer, origin, path, dialect));
}

}  // namespace merlon::identity
