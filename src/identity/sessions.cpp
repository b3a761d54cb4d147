// Rows of session stamps, refresh tokens and used assertions.
#include "identity/sessions.h"

#include "base/time_text.h"
#include "identity/record_fields.h"

namespace merlon::identity {
namespace {

constexpr const char* kTenantOwner = "tenant";
constexpr size_t kStampBytes = 12;
constexpr size_t kSweepRows = 16;

// Sorts by time: epoch milliseconds with leading zeros. Times before 1970 do not occur here.
std::string sortable(Timestamp time) {
  const std::string digits = std::to_string(time.time_since_epoch().count());
  return digits.size() < 16 ? std::string(16 - digits.size(), '0') + digits : digits;
}

Result<std::string> stamp_of(store::Reader& reader, const TenantId& tenant, std::string_view owner) {
  const auto stamp = TRY(store::get<SessionStamp>(reader, tenant, owner));
  return stamp ? stamp->stamp : std::string();
}

template <store::Record T>
Result<void> sweep(store::Transaction& tx, const TenantId& tenant, Timestamp now) {
  const store::Range oldest{.prefix = {}, .after = {}, .after_key = {}, .limit = kSweepRows};
  const auto rows = TRY(tx.scan_index(T::table(), tenant, "expires", oldest));
  for (const store::IndexedRow& indexed : rows) {
    if (indexed.value > sortable(now)) break;
    TRY(tx.erase(T::table(), tenant, indexed.row.key));
  }
  return {};
}

}  // namespace

Result<std::string> session_stamp(store::Reader& reader, const TenantId& tenant, const Uuid& principal) {
  std::string all = TRY(stamp_of(reader, tenant, kTenantOwner));
  std::string own = TRY(stamp_of(reader, tenant, principal.text()));
  return all.empty() && own.empty() ? std::string() : all + "." + own;
}

Result<void> revoke_sessions(store::Transaction& tx, const TenantId& tenant, const Uuid& principal,
                             Random& random) {
  TRY(store::put(tx, tenant,
                 SessionStamp{.owner = principal.text(), .stamp = to_base64url(random.bytes(kStampBytes))}));
  return erase_refresh_tokens_of(tx, tenant, principal);
}

Result<void> revoke_all_sessions(store::Transaction& tx, const TenantId& tenant, Random& random) {
  return store::put(tx, tenant,
                    SessionStamp{.owner = kTenantOwner, .stamp = to_base64url(random.bytes(kStampBytes))});
}

Result<void> erase_refresh_family(store::Transaction& tx, const TenantId& tenant, const Uuid& family) {
  for (const store::Row& row : TRY(tx.find(RefreshToken::table(), tenant, "family", family.text())))
    TRY(tx.erase(RefreshToken::table(), tenant, row.key));
  return {};
}

Result<void> erase_refresh_tokens_of(store::Transaction& tx, const TenantId& tenant, const Uuid& user) {
  for (const store::Row& row : TRY(tx.find(RefreshToken::table(), tenant, "user", user.text())))
    TRY(tx.erase(RefreshToken::table(), tenant, row.key));
  return {};
}

Result<void> sweep_expired(store::Transaction& tx, const TenantId& tenant, Timestamp now) {
  TRY(sweep<RefreshToken>(tx, tenant, now));
  return sweep<AssertionUse>(tx, tenant, now);
}

const store::TableSpec& SessionStamp::table() {
  static const store::TableSpec spec{"identity_session_stamps", {}};
  return spec;
}
std::string SessionStamp::key() const { return owner; }
std::vector<std::optional<std::string>> SessionStamp::index_values() const { return {}; }
JsonObject SessionStamp::to_json() const { return {{"owner", owner}, {"stamp", stamp}}; }
Result<SessionStamp> SessionStamp::from_json(const JsonObject& json) {
  return SessionStamp{.owner = TRY(require_string(json, "owner")),
                      .stamp = TRY(require_string(json, "stamp"))};
}

const store::TableSpec& RefreshToken::table() {
  static const store::TableSpec spec{"identity_refresh_tokens", {{"user"}, {"family"}, {"expires"}}};
  return spec;
}
std::string RefreshToken::key() const { return digest; }
std::vector<std::optional<std::string>> RefreshToken::index_values() const {
  return {user.text(), family.text(), sortable(expires)};
}
JsonObject RefreshToken::to_json() const {
  JsonObject json{{"digest", digest},
                  {"user", user.text()},
                  {"client", client.text()},
                  {"family", family.text()},
                  {"audience", audience},
                  {"stamp", stamp},
                  {"amr", to_json_array(amr)},
                  {"authTime", to_rfc3339(auth_time)},
                  {"expires", to_rfc3339(expires)}};
  if (rotated) json["rotated"] = to_rfc3339(*rotated);
  return json;
}
Result<RefreshToken> RefreshToken::from_json(const JsonObject& json) {
  RefreshToken token{.digest = TRY(require_string(json, "digest")),
                     .user = TRY(require_uuid(json, "user")),
                     .client = TRY(require_uuid(json, "client")),
                     .family = TRY(require_uuid(json, "family")),
                     .audience = TRY(require_string(json, "audience")),
                     .stamp = TRY(require_string(json, "stamp")),
                     .amr = strings_at(json, "amr"),
                     .auth_time = TRY(require_time(json, "authTime")),
                     .expires = TRY(require_time(json, "expires")),
                     .rotated = {}};
  if (json.contains("rotated")) token.rotated = TRY(require_time(json, "rotated"));
  return token;
}

const store::TableSpec& AssertionUse::table() {
  static const store::TableSpec spec{"identity_assertion_uses", {{"expires"}}};
  return spec;
}
std::string AssertionUse::key() const { return digest; }
std::vector<std::optional<std::string>> AssertionUse::index_values() const { return {sortable(expires)}; }
JsonObject AssertionUse::to_json() const {
  return {{"digest", digest}, {"peer", peer}, {"expires", to_rfc3339(expires)}};
}
Result<AssertionUse> AssertionUse::from_json(const JsonObject& json) {
  return AssertionUse{.digest = TRY(require_string(json, "digest")),
                      .peer = TRY(require_string(json, "peer")),
                      .expires = TRY(require_time(json, "expires"))};
}

}  // namespace merlon::identity
