// Rows of codes, and what codes look like.
#include "identity/codes.h"

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "identity/record_fields.h"
#include "identity/sessions.h"

namespace merlon::identity {
namespace {

constexpr size_t kCodeBytes = 32;
constexpr std::string_view kUserCodeLetters = "BCDFGHJKLMNPQRSTVWXZ";
constexpr size_t kUserCodeLength = 8;
constexpr size_t kTypedMax = 64;

JsonObject to_json(const RequestedScope& scope) {
  return {{"audience", scope.audience},
          {"byDefault", scope.by_default},
          {"openid", scope.openid},
          {"offlineAccess", scope.offline_access}};
}

Result<RequestedScope> scope_at(const JsonObject& json) {
  const JsonObject* scope = object_at(json, "scope");
  if (scope == nullptr) return internal_error("a stored code lacks its scope");
  return RequestedScope{.audience = TRY(require_string(*scope, "audience")),
                        .by_default = TRY(require_bool(*scope, "byDefault")),
                        .openid = TRY(require_bool(*scope, "openid")),
                        .offline_access = TRY(require_bool(*scope, "offlineAccess"))};
}

std::string state_text(DeviceState state) {
  return state == DeviceState::pending ? "pending" : state == DeviceState::approved ? "approved" : "declined";
}

// An unknown text is no approval.
DeviceState state_of(std::string_view text) {
  return text == "approved"  ? DeviceState::approved
         : text == "pending" ? DeviceState::pending
                             : DeviceState::declined;
}

}  // namespace

std::string make_code(Random& random) { return to_base64url(random.bytes(kCodeBytes)); }

std::string code_digest(std::string_view code) { return to_hex(crypto::sha256(as_bytes(code))); }

std::string make_user_code(Random& random) {
  // Bytes that would favour some letters are thrown away: 240 is the largest multiple of 20 below 256.
  constexpr unsigned kFair = 256 / kUserCodeLetters.size() * kUserCodeLetters.size();
  std::string code;
  while (code.size() < kUserCodeLength)
    for (const uint8_t byte : random.bytes(kUserCodeLength))
      if (byte < kFair && code.size() < kUserCodeLength)
        code += kUserCodeLetters[byte % kUserCodeLetters.size()];
  return code;
}

std::optional<std::string> parse_user_code(std::string_view text) {
  if (text.size() > kTypedMax) return std::nullopt;
  std::string code;
  for (const char c : text) {
    if (c == ' ' || c == '-' || c == '\t') continue;
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (kUserCodeLetters.find(upper) == std::string_view::npos) return std::nullopt;
    code += upper;
  }
  if (code.size() != kUserCodeLength) return std::nullopt;
  return code;
}

std::string shown_user_code(std::string_view code) {
  return std::string(code.substr(0, kUserCodeLength / 2)) + "-" +
         std::string(code.substr(kUserCodeLength / 2));
}

const store::TableSpec& AuthorizationCode::table() {
  static const store::TableSpec spec{"identity_authorization_codes", {{"user"}, {"session"}, {"expires"}}};
  return spec;
}
std::string AuthorizationCode::key() const { return digest; }
std::vector<std::optional<std::string>> AuthorizationCode::index_values() const {
  return {user.text(), session.text(), sortable(expires)};
}
JsonObject AuthorizationCode::to_json() const {
  JsonObject json{{"digest", digest},
                  {"client", client.text()},
                  {"redirectUri", redirect_uri},
                  {"challenge", challenge},
                  {"scope", identity::to_json(scope)},
                  {"nonce", nonce},
                  {"user", user.text()},
                  {"session", session.text()},
                  {"stamp", stamp},
                  {"amr", to_json_array(amr)},
                  {"authTime", to_rfc3339(auth_time)},
                  {"redeemableUntil", to_rfc3339(redeemable_until)},
                  {"expires", to_rfc3339(expires)}};
  if (gave) json["gave"] = gave->text();
  return json;
}
Result<AuthorizationCode> AuthorizationCode::from_json(const JsonObject& json) {
  AuthorizationCode code{.digest = TRY(require_string(json, "digest")),
                         .client = TRY(require_uuid(json, "client")),
                         .redirect_uri = TRY(require_string(json, "redirectUri")),
                         .challenge = TRY(require_string(json, "challenge")),
                         .scope = TRY(scope_at(json)),
                         .nonce = TRY(require_string(json, "nonce")),
                         .user = TRY(require_uuid(json, "user")),
                         .session = TRY(require_uuid(json, "session")),
                         .stamp = TRY(require_string(json, "stamp")),
                         .amr = strings_at(json, "amr"),
                         .auth_time = TRY(require_time(json, "authTime")),
                         .redeemable_until = TRY(require_time(json, "redeemableUntil")),
                         .expires = TRY(require_time(json, "expires")),
                         .gave = {}};
  if (json.contains("gave")) code.gave = TRY(require_uuid(json, "gave"));
  return code;
}

const store::TableSpec& DeviceCode::table() {
  static const store::TableSpec spec{"identity_device_codes",
                                     {{"user_code", store::Unique::yes}, {"user"}, {"session"}, {"expires"}}};
  return spec;
}
std::string DeviceCode::key() const { return digest; }
std::vector<std::optional<std::string>> DeviceCode::index_values() const {
  return {user_code, user ? std::optional(user->text()) : std::nullopt,
          session ? std::optional(session->text()) : std::nullopt, sortable(expires)};
}
JsonObject DeviceCode::to_json() const {
  JsonObject json{{"digest", digest},
                  {"userCode", user_code},
                  {"client", client.text()},
                  {"scope", identity::to_json(scope)},
                  {"address", address},
                  {"userAgent", user_agent},
                  {"state", state_text(state)},
                  {"lastPoll", to_rfc3339(last_poll)},
                  {"created", to_rfc3339(created)},
                  {"redeemableUntil", to_rfc3339(redeemable_until)},
                  {"expires", to_rfc3339(expires)}};
  if (claims.mfa) json["mfa"] = true;
  if (claims.signed_in_since) json["signedInSince"] = to_rfc3339(*claims.signed_in_since);
  if (!user || !session) return json;
  json["user"] = user->text();
  json["session"] = session->text();
  json["stamp"] = stamp;
  json["amr"] = to_json_array(amr);
  json["authTime"] = to_rfc3339(auth_time);
  return json;
}
Result<DeviceCode> DeviceCode::from_json(const JsonObject& json) {
  const std::string state = TRY(require_string(json, "state"));
  DeviceCode code{.digest = TRY(require_string(json, "digest")),
                  .user_code = TRY(require_string(json, "userCode")),
                  .client = TRY(require_uuid(json, "client")),
                  .scope = TRY(scope_at(json)),
                  .address = TRY(require_string(json, "address")),
                  .user_agent = TRY(require_string(json, "userAgent")),
                  .claims = {},
                  .state = state_of(state),
                  .last_poll = TRY(require_time(json, "lastPoll")),
                  .created = TRY(require_time(json, "created")),
                  .redeemable_until = TRY(require_time(json, "redeemableUntil")),
                  .expires = TRY(require_time(json, "expires")),
                  .user = {},
                  .session = {},
                  .stamp = {},
                  .amr = {},
                  .auth_time = {}};
  code.claims.mfa = bool_at(json, "mfa").value_or(false);
  if (json.contains("signedInSince")) code.claims.signed_in_since = TRY(require_time(json, "signedInSince"));
  if (!json.contains("user")) return code;
  code.user = TRY(require_uuid(json, "user"));
  code.session = TRY(require_uuid(json, "session"));
  code.stamp = TRY(require_string(json, "stamp"));
  code.amr = strings_at(json, "amr");
  code.auth_time = TRY(require_time(json, "authTime"));
  return code;
}

}  // namespace merlon::identity
