// Rows of sessions, stamps, refresh tokens and used assertions.
#include "identity/sessions.h"

#include "base/time_text.h"
#include "crypto/digest.h"
#include "identity/codes.h"
#include "identity/directory.h"
#include "identity/record_fields.h"

namespace merlon::identity {
namespace {

constexpr const char* kTenantOwner = "tenant";
constexpr size_t kStampBytes = 12;
constexpr size_t kSweepRows = 16;

constexpr size_t kUserAgentMax = 200;

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

template <store::Record T>
Result<void> erase_found(store::Transaction& tx, const TenantId& tenant, std::string_view index,
                         const std::string& value) {
  for (const store::Row& row : TRY(tx.find(T::table(), tenant, index, value)))
    TRY(tx.erase(T::table(), tenant, row.key));
  return {};
}

// The session's own row and what hangs on it, not the sessions that it allowed.
Result<void> erase_session(store::Transaction& tx, const TenantId& tenant, const std::string& id) {
  TRY(erase_found<RefreshToken>(tx, tenant, "family", id));
  TRY(erase_found<AuthorizationCode>(tx, tenant, "session", id));
  TRY(erase_found<DeviceCode>(tx, tenant, "session", id));
  return store::erase<Session>(tx, tenant, id);
}

}  // namespace

// Times before 1970 do not occur here.
std::string sortable(Timestamp time) {
  const std::string digits = std::to_string(time.time_since_epoch().count());
  return digits.size() < 16 ? std::string(16 - digits.size(), '0') + digits : digits;
}

std::string kept_user_agent(std::string_view text) {
  std::string kept;
  for (const char c : text.substr(0, kUserAgentMax)) kept += c >= 0x20 && c < 0x7f ? c : '?';
  return kept;
}

Result<std::optional<Session>> browser_session(store::Reader& reader, const TenantId& tenant,
                                               std::string_view cookie, Timestamp now) {
  if (cookie.empty()) return std::nullopt;
  auto found = TRY(store::find<Session>(reader, tenant, "cookie", to_hex(crypto::sha256(as_bytes(cookie)))));
  if (found.empty() || now >= found.front().expires) return std::nullopt;
  if (TRY(session_stamp(reader, tenant, found.front().user)) != found.front().stamp) return std::nullopt;
  return std::move(found.front());
}

Result<void> end_session(store::Transaction& tx, const TenantId& tenant, const Uuid& id) {
  for (const store::Row& child : TRY(tx.find(Session::table(), tenant, "parent", id.text())))
    TRY(erase_session(tx, tenant, child.key));
  return erase_session(tx, tenant, id.text());
}

Result<void> end_sessions_by_consent(store::Transaction& tx, const TenantId& tenant, const Uuid& client) {
  for (const Session& session : TRY(store::scan_all<Session>(tx, tenant)))
    if (session.client == client && session.method != "password") TRY(end_session(tx, tenant, session.id));
  return {};
}

Result<void> sign_out_browser(store::Transaction& tx, const TenantId& tenant, const Uuid& id) {
  return erase_session(tx, tenant, id.text());
}

Result<std::string> session_stamp(store::Reader& reader, const TenantId& tenant, const Uuid& principal) {
  std::string all = TRY(stamp_of(reader, tenant, kTenantOwner));
  std::string own = TRY(stamp_of(reader, tenant, principal.text()));
  return all.empty() && own.empty() ? std::string() : all + "." + own;
}

Result<bool> still_holds(store::Reader& reader, Directory& directory, const PastSignIn& sign_in) {
  const auto found = TRY(directory.find_object(reader, sign_in.principal));
  if (!found || !found->enabled) return false;
  const TenantId& tenant = directory.tenant();
  if (!sign_in.session_id.empty() && !TRY(reader.get(Session::table(), tenant, sign_in.session_id)))
    return false;
  return TRY(session_stamp(reader, tenant, sign_in.principal)) == sign_in.stamp;
}

Result<void> revoke_sessions(store::Transaction& tx, const TenantId& tenant, const Uuid& principal,
                             Random& random) {
  TRY(store::put(tx, tenant,
                 SessionStamp{.owner = principal.text(), .stamp = to_base64url(random.bytes(kStampBytes))}));
  return erase_sessions_of(tx, tenant, principal);
}

Result<void> revoke_all_sessions(store::Transaction& tx, const TenantId& tenant, Random& random) {
  return store::put(tx, tenant,
                    SessionStamp{.owner = kTenantOwner, .stamp = to_base64url(random.bytes(kStampBytes))});
}

Result<void> erase_sessions_of(store::Transaction& tx, const TenantId& tenant, const Uuid& user) {
  TRY(erase_found<RefreshToken>(tx, tenant, "user", user.text()));
  TRY(erase_found<AuthorizationCode>(tx, tenant, "user", user.text()));
  TRY(erase_found<DeviceCode>(tx, tenant, "user", user.text()));
  return erase_found<Session>(tx, tenant, "user", user.text());
}

Result<void> sweep_expired(store::Transaction& tx, const TenantId& tenant, Timestamp now) {
  TRY(sweep<Session>(tx, tenant, now));
  TRY(sweep<RefreshToken>(tx, tenant, now));
  TRY(sweep<AuthorizationCode>(tx, tenant, now));
  TRY(sweep<DeviceCode>(tx, tenant, now));
  return sweep<AssertionUse>(tx, tenant, now);
}

const store::TableSpec& Session::table() {
  static const store::TableSpec spec{"identity_sessions",
                                     {{"user"}, {"parent"}, {"cookie", store::Unique::yes}, {"expires"}}};
  return spec;
}
std::string Session::key() const { return id.text(); }
std::vector<std::optional<std::string>> Session::index_values() const {
  const auto optional = [](const std::string& text) {
    return text.empty() ? std::nullopt : std::optional<std::string>(text);
  };
  return {user.text(), optional(parent ? parent->text() : std::string()), optional(cookie_digest),
          sortable(expires)};
}
JsonObject Session::to_json() const {
  JsonObject json{{"id", id.text()},
                  {"user", user.text()},
                  {"client", client.text()},
                  {"method", method},
                  {"cookieDigest", cookie_digest},
                  {"stamp", stamp},
                  {"address", address},
                  {"userAgent", user_agent},
                  {"amr", to_json_array(amr)},
                  {"authTime", to_rfc3339(auth_time)},
                  {"created", to_rfc3339(created)},
                  {"lastUsed", to_rfc3339(last_used)},
                  {"expires", to_rfc3339(expires)}};
  if (parent) json["parent"] = parent->text();
  return json;
}
Result<Session> Session::from_json(const JsonObject& json) {
  Session session{.id = TRY(require_uuid(json, "id")),
                  .user = TRY(require_uuid(json, "user")),
                  .client = TRY(require_uuid(json, "client")),
                  .parent = {},
                  .method = TRY(require_string(json, "method")),
                  .cookie_digest = TRY(require_string(json, "cookieDigest")),
                  .stamp = TRY(require_string(json, "stamp")),
                  .address = TRY(require_string(json, "address")),
                  .user_agent = TRY(require_string(json, "userAgent")),
                  .amr = strings_at(json, "amr"),
                  .auth_time = TRY(require_time(json, "authTime")),
                  .created = TRY(require_time(json, "created")),
                  .last_used = TRY(require_time(json, "lastUsed")),
                  .expires = TRY(require_time(json, "expires"))};
  if (json.contains("parent")) session.parent = TRY(require_uuid(json, "parent"));
  return session;
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
