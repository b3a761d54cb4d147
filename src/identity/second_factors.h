// What a person proves themselves by besides the password: one-time codes of an authenticator app, passkeys
// (which do without the password), and recovery codes for the day when those are gone. Who has a confirmed
// method is asked for it at every sign-in; nobody gets a browser's session, or a token for a password alone,
// without it.
//
// A code is good once, on all servers together: the step that it belongs to is written in the transaction
// that finds it right. The app's secret is sealed; of recovery codes only digests are kept.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "identity/passkeys.h"
#include "seal/seal.h"
#include "store/table.h"

namespace merlon::identity {

struct TotpMethod {
  Uuid id;
  Uuid user;
  std::string name;        // "Authenticator app", or what the person calls it
  std::string sealed;      // the secret
  bool confirmed = false;  // by a first code: only then is it asked for
  int64_t last_step = 0;   // of the last code that was used
  Timestamp created;
  std::optional<Timestamp> last_used;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<TotpMethod> from_json(const JsonObject& json);
};

// One that has not been used; using it removes it.
struct RecoveryCode {
  std::string digest;
  Uuid user;
  Timestamp created;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<RecoveryCode> from_json(const JsonObject& json);
};

class SecondFactors {
 public:
  SecondFactors(const seal::Seal& seal, TenantId tenant, const Clock& clock, Random& random)
      : seal_(seal),
        tenant_(std::move(tenant)),
        clock_(clock),
        random_(random),
        passkeys_(tenant_, clock, random) {}

  const Passkeys& passkeys() const { return passkeys_; }
  // Whether the person must give a second factor: they have an app or a passkey.
  Result<bool> required(store::Reader& reader, const Uuid& user) const;

  struct Enrolment {
    TotpMethod method;
    Secret secret;
  };
  // A new app, good for 15 minutes until its first code confirms it; replaces one that never was.
  Result<Enrolment> enrol(store::Transaction& tx, const Uuid& user, std::string name) const;
  // Not found: no such enrolment of theirs, or too late. Invalid: the code is wrong.
  Result<TotpMethod> confirm(store::Transaction& tx, const Uuid& user, const Uuid& id,
                             std::string_view code) const;
  Result<std::vector<TotpMethod>> confirmed(store::Reader& reader, const Uuid& user) const;
  Result<size_t> recovery_codes_left(store::Reader& reader, const Uuid& user) const;
  // Ten new ones instead of all that there were.
  Result<std::vector<std::string>> make_recovery_codes(store::Transaction& tx, const Uuid& user) const;
  // False: the person has no such method. With the last method the recovery codes go too.
  Result<bool> remove(store::Transaction& tx, const Uuid& user, const Uuid& id) const;
  Result<void> remove_all(store::Transaction& tx, const Uuid& user) const;

  enum class Used { nothing, totp, recovery_code };
  // Uses up the typed code: it is right once. Slowing down who guesses is the caller's.
  Result<Used> use(store::Transaction& tx, const Uuid& user, std::string_view typed) const;

 private:
  Result<Secret> secret_of(const TotpMethod& method) const;

  const seal::Seal& seal_;
  const TenantId tenant_;
  const Clock& clock_;
  Random& random_;
  const Passkeys passkeys_;
};

// For a person who is removed.
Result<void> erase_second_factors(store::Transaction& tx, const TenantId& tenant, const Uuid& user);

}  // namespace merlon::identity
