// Checking what an authenticator has made (Web Authentication Level 2, www.w3.org/TR/webauthn-2, sections 7.1
// and 7.2): that it is for this server and this question, that the person was there and proved it to their
// device, and that the key signed it. Attestation is not asked for and not believed: which maker's device it
// is decides nothing here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/key.h"

namespace merlon::identity {

// What the server asked, and where.
struct WebauthnQuestion {
  Bytes challenge;
  std::string origin;  // "https://merlon.example.org:8443"
  std::string rp_id;   // "merlon.example.org"
};

struct WebauthnKey {
  crypto::PublicKey key;
  crypto::SignatureAlgorithm algorithm;  // es256, eddsa or rs256
};

struct AuthenticatorData {
  bool user_verified = false;
  bool backup_eligible = false;  // may be on several devices of its owner
  uint32_t sign_count = 0;       // 0: the authenticator does not count
  Bytes credential_id;           // of a registration
  std::optional<WebauthnKey> key;
};

inline constexpr size_t kCredentialIdMax = 1023;  // section 4, "Credential ID"

// Form alone: any bytes are read or refused. Registrations must have a credential, assertions must not.
enum class Ceremony { registration, assertion };
Result<AuthenticatorData> parse_authenticator_data(ByteView data, Ceremony ceremony, std::string_view rp_id);
// "authData" of an attestation object.
Result<ByteView> authenticator_data_of(ByteView attestation_object);

// Refusals are ErrorKind::invalid, with what is wrong as the cause, for the log and the ledger alone.
Result<AuthenticatorData> verify_registration(const WebauthnQuestion& question, ByteView client_data_json,
                                              ByteView attestation_object);
Result<AuthenticatorData> verify_assertion(const WebauthnQuestion& question, const WebauthnKey& key,
                                           ByteView client_data_json, ByteView authenticator_data,
                                           ByteView signature);

}  // namespace merlon::identity
