// Verification of our own access tokens (RFC 7519, RFC 8725; error codes as Azure Resource Manager gives
// them).
#include "identity/bearer.h"

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/jose.h"
#include "identity/audience.h"
#include "identity/record_fields.h"
#include "identity/sessions.h"

namespace merlon::identity {
namespace {

constexpr Duration kSkew = std::chrono::minutes(5);
constexpr int64_t kSecondsMax = 253402300799;  // 9999-12-31: multiplying by 1000 stays in range

std::unexpected<Error> invalid_token(std::string message) {
  return fail(ErrorKind::unauthenticated, "InvalidAuthenticationToken", std::move(message));
}

std::unexpected<Error> malformed(std::string cause) {
  auto error = invalid_token("The access token is invalid. Sign in again to get a new one.");
  error.error().cause = std::move(cause);
  return error;
}

std::optional<Timestamp> time_claim(const JsonObject& payload, std::string_view name) {
  const auto seconds = int_at(payload, name);
  if (!seconds || *seconds < 0 || *seconds > kSecondsMax) return std::nullopt;
  return Timestamp(std::chrono::seconds(*seconds));
}

std::optional<Uuid> uuid_claim(const JsonObject& payload, std::string_view name) {
  const auto text = string_at(payload, name);
  return text ? Uuid::parse(*text) : std::nullopt;
}

Result<void> check_tenant(const JsonObject& payload, const TenantId& tenant) {
  const auto issuer = string_at(payload, "iss");
  const auto url = issuer ? parse_audience_url(*issuer) : std::nullopt;
  if (!url) return malformed("the token's iss is not a URL");
  if (url->path != "/" + tenant.text() + "/" || string_at(payload, "tid") != tenant.text())
    return fail(ErrorKind::unauthenticated, "InvalidAuthenticationTokenTenant",
                "The access token is from the wrong issuer. It must match the tenant '" + tenant.text() +
                    "' associated with this server. Sign in to that tenant.");
  return {};
}

}  // namespace

Result<std::string_view> bearer_token(std::string_view authorization) {
  const std::string_view header = trim(authorization);
  if (header.empty())
    return fail(ErrorKind::unauthenticated, "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.");
  const size_t space = header.find(' ');
  if (space == std::string_view::npos || !ascii_iequal(header.substr(0, space), "Bearer"))
    return fail(
        ErrorKind::unauthenticated, "AuthenticationFailed",
        "Authentication failed. The 'Authorization' header is provided in an invalid format: it must be "
        "'Bearer' and an access token.");
  return trim(header.substr(space + 1));
}

Result<void> check_times(const TokenClaims& claims, Timestamp now) {
  if (now >= claims.expires + kSkew)
    return fail(ErrorKind::unauthenticated, "ExpiredAuthenticationToken",
                "The access token expiry UTC time '" + to_rfc3339(claims.expires) +
                    "' is earlier than current UTC time '" + to_rfc3339(now) + "'.");
  if (now + kSkew < claims.not_before) return invalid_token("The access token is not valid yet.");
  return {};
}

Result<TokenClaims> verify_token(std::string_view token, const std::vector<SigningKey>& keys,
                                 const TenantId& tenant, Timestamp now) {
  const auto parts = crypto::parse_jws(token);
  if (!parts) return malformed("not a JWS: " + parts.error().message);
  const auto key_id = string_at(parts->header, "kid");
  const auto key = std::ranges::find_if(keys, [&](const SigningKey& k) { return key_id == k.id; });
  if (key == keys.end()) return malformed("the token's kid is not one of ours");
  // The algorithm is the key's, whatever the header says (RFC 8725 section 3.1).
  if (!crypto::verify_jws(*parts, crypto::SignatureAlgorithm::rs256, key->public_half))
    return malformed("the signature does not verify");
  const JsonObject& payload = parts->payload;
  TRY(check_tenant(payload, tenant));
  const auto expires = time_claim(payload, "exp");
  const auto not_before = time_claim(payload, "nbf");
  if (!expires || !not_before) return malformed("the token lacks exp or nbf");
  const auto object_id = uuid_claim(payload, "oid");
  const auto app_id = uuid_claim(payload, "appid");
  const auto audience = string_at(payload, "aud");
  const auto type = string_at(payload, "idtyp");
  const auto token_id = string_at(payload, "uti");
  // An id_token lacks idtyp and appid: it is not for any API.
  if (!object_id || !app_id || !audience || !token_id || (type != "app" && type != "user"))
    return malformed("the token lacks a claim that our access tokens have");
  TokenClaims claims{.issuer = *string_at(payload, "iss"),
                     .audience = *audience,
                     .stamp = string_at(payload, "merlon_stamp").value_or(std::string()),
                     .session = string_at(payload, "sid").value_or(std::string()),
                     .kind = type == "app" ? PrincipalKind::service_principal : PrincipalKind::user,
                     .object_id = *object_id,
                     .app_id = *app_id,
                     .amr = strings_at(payload, "amr"),
                     .auth_time = time_claim(payload, "auth_time").value_or(Timestamp{}),
                     .not_before = *not_before,
                     .expires = *expires,
                     .token_id = *token_id};
  TRY(check_times(claims, now));
  return claims;
}

Result<Principal> live_principal(store::Reader& reader, Directory& directory, const TokenClaims& claims) {
  const TenantId& tenant = directory.tenant();
  const auto client = TRY(directory.service_principal_by_app_id(reader, claims.app_id));
  if (!client || !client->enabled)
    return invalid_token("The application that the access token was issued to is disabled or was removed.");
  std::string name;
  if (claims.kind == PrincipalKind::service_principal) {
    if (client->id != claims.object_id)
      return invalid_token("The service principal of the access token was removed.");
    name = client->display_name;
    if (!claims.session.empty() && !TRY(reader.get(Session::table(), tenant, claims.session)))
      return invalid_token("The identity is not the machine's any more that the access token was issued to.");
  } else {
    const auto user = TRY(store::get<User>(reader, tenant, claims.object_id.text()));
    if (!user || !user->enabled)
      return invalid_token("The user of the access token is disabled or was removed.");
    name = user->user_principal_name;
    // The token endpoint gives people no token without one.
    if (claims.session.empty() || !TRY(reader.get(Session::table(), tenant, claims.session)))
      return invalid_token("The session of the access token has ended. Sign in again to get a new one.");
  }
  const std::string stamp = TRY(session_stamp(reader, tenant, claims.object_id));
  if (!constant_time_equal(as_bytes(stamp), as_bytes(claims.stamp)))
    return invalid_token("The access token has been revoked. Sign in again to get a new one.");
  return Principal{.object_id = claims.object_id,
                   .kind = claims.kind,
                   .name = std::move(name),
                   .app_id = claims.app_id,
                   .amr = claims.amr,
                   .auth_time = claims.auth_time,
                   .token_id = claims.token_id,
                   .address = {},
                   .session_id = claims.session};
}

}  // namespace merlon::identity
