// What remembers sign-ins: stamps (changing one voids every token issued under the old one), refresh tokens,
// and client assertions already used.
//
// A token carries the stamps of its tenant and of its principal as they were when it was issued; it is good
// while both are still the same. Random stamps instead of times or counters: a stepped clock revives nothing,
// and neither does a restored backup (trust.md, Versions and restore).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "store/table.h"

namespace merlon::identity {

struct SessionStamp {
  std::string owner;  // an object id, or "tenant"
  std::string stamp;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<SessionStamp> from_json(const JsonObject& json);
};

// "" until the first revocation.
Result<std::string> session_stamp(store::Reader& reader, const TenantId& tenant, const Uuid& principal);
// Ends every session and token of one principal.
Result<void> revoke_sessions(store::Transaction& tx, const TenantId& tenant, const Uuid& principal,
                             Random& random);
// Ends all of them: after a restore.
Result<void> revoke_all_sessions(store::Transaction& tx, const TenantId& tenant, Random& random);

struct RefreshToken {
  std::string digest;  // SHA-256 of the token, hex: a stolen database holds no token
  Uuid user;
  Uuid client;
  Uuid family;  // all tokens that came from one sign-in
  std::string audience;
  std::string stamp;
  std::vector<std::string> amr;
  Timestamp auth_time;
  Timestamp expires;
  std::optional<Timestamp> rotated;  // exchanged for a successor at this time
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<RefreshToken> from_json(const JsonObject& json);
};

Result<void> erase_refresh_family(store::Transaction& tx, const TenantId& tenant, const Uuid& family);
Result<void> erase_refresh_tokens_of(store::Transaction& tx, const TenantId& tenant, const Uuid& user);

struct AssertionUse {
  std::string digest;  // SHA-256 over client id and jti
  std::string peer;    // who presented it first
  Timestamp expires;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<AssertionUse> from_json(const JsonObject& json);
};

// Removes a few rows of refresh tokens and assertions that have expired: called with every issue, so that
// neither table grows beyond what is alive.
Result<void> sweep_expired(store::Transaction& tx, const TenantId& tenant, Timestamp now);

}  // namespace merlon::identity
