// Passkeys: key pairs on people's devices that sign them in without a password, and count as two factors,
// since the device asks who is there. The public half is kept, with the count of signatures where the device
// counts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "identity/webauthn.h"
#include "store/table.h"

namespace merlon::identity {

struct Passkey {
  Uuid id;
  Uuid user;
  std::string name;        // what the person calls it
  std::string credential;  // its id, base64url
  JsonObject public_key;   // JWK
  std::string algorithm;   // JOSE's name
  uint32_t sign_count = 0;
  Timestamp created;
  std::optional<Timestamp> last_used;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Passkey> from_json(const JsonObject& json);
};

// What a browser sends of an assertion, decoded.
struct PasskeyAnswer {
  std::string credential;  // base64url
  Bytes client_data_json, authenticator_data, signature, user_handle;
};

class Passkeys {
 public:
  Passkeys(TenantId tenant, const Clock& clock, Random& random)
      : tenant_(std::move(tenant)), clock_(clock), random_(random) {}

  Result<std::vector<Passkey>> of(store::Reader& reader, const Uuid& user) const;
  // Conflict: the credential is known already, or there are too many.
  Result<Passkey> add(store::Transaction& tx, const Uuid& user, std::string name,
                      const AuthenticatorData& made) const;
  // Whose passkey it is, after everything about the answer was checked; the count goes on. Invalid otherwise
  // (webauthn.h). The same question is answered once, on all servers together.
  Result<Passkey> use(store::Transaction& tx, const WebauthnQuestion& question,
                      const PasskeyAnswer& answer) const;
  Result<bool> remove(store::Transaction& tx, const Uuid& user, const Uuid& id) const;

 private:
  const TenantId tenant_;
  const Clock& clock_;
  Random& random_;
};

// A person's id as authenticators keep it (the "user handle").
Bytes user_handle_of(const Uuid& user);
Result<void> erase_passkeys(store::Transaction& tx, const TenantId& tenant, const Uuid& user);

}  // namespace merlon::identity
