// What remembers sign-ins: sessions, stamps (changing one voids every token issued under the old one),
// refresh tokens, and client assertions already used.
//
// Every sign-in of a person is a session: a browser's (known by a cookie), or an application's (the family of
// its refresh tokens). So is what a machine has of a managed identity. Tokens name their session, and are
// good while it is there; ending it is removing it.
//
// A token carries the stamps of its tenant and of its principal as they were when it was issued; it is good
// while both are still the same. Random stamps instead of times or counters: a stepped clock revives nothing,
// and neither does a restored backup (trust.md, Versions and restore).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "store/table.h"

namespace merlon::identity {

class Directory;

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
// Ends every session and token of one principal, and whatever code was on its way to become one.
Result<void> revoke_sessions(store::Transaction& tx, const TenantId& tenant, const Uuid& principal,
                             Random& random);
// Ends all of them: after a restore.
Result<void> revoke_all_sessions(store::Transaction& tx, const TenantId& tenant, Random& random);

struct Session {
  Uuid id;  // "sid" of its tokens, family of its refresh tokens
  Uuid user;
  Uuid client;                 // nil for a browser's own session
  std::optional<Uuid> parent;  // the browser's session that allowed it; the machine, of a managed identity
  std::string method;          // "browser", "password", "authorization_code", "device_code", "machine"
  std::string cookie_digest;   // SHA-256 of a browser's cookie, hex
  std::string stamp;
  std::string address;     // where it began
  std::string user_agent;  // as the client said; for people to recognise it by
  std::vector<std::string> amr;
  Timestamp auth_time;  // when the password was given
  Timestamp created;
  Timestamp last_used;
  Timestamp expires;  // of whatever it can still be used for
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Session> from_json(const JsonObject& json);
};

// What a client says of itself, made fit to be kept and shown.
std::string kept_user_agent(std::string_view text);
// The live session of a cookie: known, in time, and not revoked.
Result<std::optional<Session>> browser_session(store::Reader& reader, const TenantId& tenant,
                                               std::string_view cookie, Timestamp now);
// Ends one session: its tokens, its codes, and the sessions that it allowed.
Result<void> end_session(store::Transaction& tx, const TenantId& tenant, const Uuid& id);
// Those that people allowed an application by an administrator's consent, which is withdrawn. Who gave it
// their password has signed in without one.
Result<void> end_sessions_by_consent(store::Transaction& tx, const TenantId& tenant, const Uuid& client);
// Only the browser's own: what it allowed meanwhile stays signed in, as in Entra.
Result<void> sign_out_browser(store::Transaction& tx, const TenantId& tenant, const Uuid& id);

// Whether what somebody once signed in for may go on: they are there and enabled, the session of that time is
// too, and `stamp` is still theirs. What runs for hours asks this again and again, since no token does.
struct PastSignIn {
  Uuid principal;
  bool is_person = true;
  std::string session_id;  // Principal::session_id
  std::string stamp;       // session_stamp() at that time
};
Result<bool> still_holds(store::Reader& reader, Directory& directory, const PastSignIn& sign_in);

struct RefreshToken {
  std::string digest;  // SHA-256 of the token, hex: a stolen database holds no token
  Uuid user;
  Uuid client;
  Uuid family;  // the session
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

// Sessions, refresh tokens and codes of a user, without a new stamp: for a user who is removed.
Result<void> erase_sessions_of(store::Transaction& tx, const TenantId& tenant, const Uuid& user);

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

// Sorts by time: epoch milliseconds with leading zeros, for an index "expires".
std::string sortable(Timestamp time);

// Removes a few rows of everything here that has expired: called with every issue, so that no table grows
// beyond what is alive.
Result<void> sweep_expired(store::Transaction& tx, const TenantId& tenant, Timestamp now);

}  // namespace merlon::identity
