// Reading client data, authenticator data and COSE keys; verifying signatures.
#include "identity/webauthn.h"

#include <algorithm>

#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/ecdsa_form.h"
#include "crypto/jose.h"
#include "identity/cbor.h"

namespace merlon::identity {
namespace {

constexpr size_t kClientDataMax = 4096;
constexpr size_t kAttestationMax = 16 * 1024;
constexpr size_t kHashBytes = 32;
constexpr size_t kHeadBytes = kHashBytes + 1 + 4;
constexpr size_t kAaguidBytes = 16;
constexpr unsigned kRsaBitsMin = 2048;
constexpr unsigned kRsaBitsMax = 8192;
constexpr size_t kP256Bytes = 32;

// Section 6.1.
constexpr uint8_t kUserPresent = 0x01;
constexpr uint8_t kUserVerified = 0x04;
constexpr uint8_t kBackupEligible = 0x08;
constexpr uint8_t kBackedUp = 0x10;
constexpr uint8_t kHasCredential = 0x40;
constexpr uint8_t kHasExtensions = 0x80;

std::unexpected<Error> wrong(std::string_view cause) {
  auto error = fail(ErrorKind::invalid, "PasskeyNotAccepted", "The passkey was not accepted.");
  error.error().cause = cause;
  return error;
}

// RFC 9052 section 7, RFC 9053 section 7, RFC 8230 section 4.
struct CoseKey {
  int64_t type = 0, algorithm = 0, curve = 0;
  ByteView first, second;  // x and y; n (label -1) and e (label -2) of RSA
};

std::optional<CoseKey> read_cose_key(CborReader& reader) {
  CoseKey key;
  const auto pairs = reader.map();
  if (!pairs) return std::nullopt;
  std::vector<int64_t> seen;
  for (size_t i = 0; i < *pairs; ++i) {
    const auto label = reader.integer();
    if (!label || std::ranges::find(seen, *label) != seen.end()) return std::nullopt;
    seen.push_back(*label);
    const bool rsa = key.type == 3;
    std::optional<int64_t> number;
    std::optional<ByteView> bytes;
    switch (*label) {
      case 1:
      case 3:
        number = reader.integer();
        if (!number) return std::nullopt;
        (*label == 1 ? key.type : key.algorithm) = *number;
        break;
      case -1:
        if (rsa) {
          bytes = reader.bytes();
          if (!bytes) return std::nullopt;
          key.first = *bytes;
        } else {
          number = reader.integer();
          if (!number) return std::nullopt;
          key.curve = *number;
        }
        break;
      case -2:
      case -3:
        bytes = reader.bytes();
        if (!bytes) return std::nullopt;
        (*label == -2 && !rsa ? key.first : key.second) = *bytes;
        break;
      default:
        if (!reader.skip()) return std::nullopt;
    }
  }
  return key;
}

Result<WebauthnKey> key_of(const CoseKey& cose) {
  JsonObject jwk;
  crypto::SignatureAlgorithm algorithm{};
  if (cose.algorithm == -7 && cose.type == 2 && cose.curve == 1) {
    jwk = {
        {"kty", "EC"}, {"crv", "P-256"}, {"x", to_base64url(cose.first)}, {"y", to_base64url(cose.second)}};
    algorithm = crypto::SignatureAlgorithm::es256;
  } else if (cose.algorithm == -8 && cose.type == 1 && cose.curve == 6) {
    jwk = {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", to_base64url(cose.first)}};
    algorithm = crypto::SignatureAlgorithm::eddsa;
  } else if (cose.algorithm == -257 && cose.type == 3) {
    jwk = {{"kty", "RSA"}, {"n", to_base64url(cose.first)}, {"e", to_base64url(cose.second)}};
    algorithm = crypto::SignatureAlgorithm::rs256;
  } else {
    return wrong("a key of a kind that was not asked for");
  }
  auto key = crypto::from_jwk(jwk);
  if (!key) return wrong("a key that is none: " + key.error().message);
  if (algorithm == crypto::SignatureAlgorithm::rs256 &&
      (key->bits() < kRsaBitsMin || key->bits() > kRsaBitsMax))
    return wrong("an RSA key that is too short or too long");
  return WebauthnKey{.key = *std::move(key), .algorithm = algorithm};
}

Result<void> check_client_data(const WebauthnQuestion& question, ByteView json, std::string_view type) {
  const auto client = parse_json_object(as_text(json), {.bytes_max = kClientDataMax, .depth_max = 8});
  if (!client) return wrong("client data that is no JSON object");
  if (string_at(*client, "type") != type) return wrong("client data of another ceremony");
  const auto challenge = from_base64url(string_at(*client, "challenge").value_or(""));
  if (!challenge || question.challenge.empty() || !constant_time_equal(*challenge, question.challenge))
    return wrong("an answer to another challenge");
  if (string_at(*client, "origin") != question.origin)
    return wrong("made at another origin: " + string_at(*client, "origin").value_or("").substr(0, 200));
  if (bool_at(*client, "crossOrigin").value_or(false) || client->contains("topOrigin"))
    return wrong("made in a frame of another origin");
  return {};
}

}  // namespace

Result<AuthenticatorData> parse_authenticator_data(ByteView data, Ceremony ceremony, std::string_view rp_id) {
  if (data.size() < kHeadBytes || data.size() > kAttestationMax)
    return wrong("authenticator data of a wrong length");
  const auto expected = crypto::sha256(as_bytes(rp_id));
  if (!constant_time_equal(data.first(kHashBytes), expected)) return wrong("made for another server");
  const uint8_t flags = data[kHashBytes];
  AuthenticatorData read;
  read.user_verified = (flags & kUserVerified) != 0;
  read.backup_eligible = (flags & kBackupEligible) != 0;
  for (size_t i = 0; i < 4; ++i) read.sign_count = read.sign_count << 8U | data[kHashBytes + 1 + i];
  if ((flags & kUserPresent) == 0) return wrong("nobody was there");
  if (!read.backup_eligible && (flags & kBackedUp) != 0) return wrong("backed up, but not to be backed up");
  if (((flags & kHasCredential) != 0) != (ceremony == Ceremony::registration))
    return wrong("authenticator data of another ceremony");
  ByteView rest = data.subspan(kHeadBytes);
  if (ceremony == Ceremony::registration) {
    if (rest.size() < kAaguidBytes + 2) return wrong("authenticator data that ends early");
    const size_t size = static_cast<size_t>(rest[kAaguidBytes]) << 8U | rest[kAaguidBytes + 1];
    rest = rest.subspan(kAaguidBytes + 2);
    if (size == 0 || size > kCredentialIdMax || size > rest.size())
      return wrong("a credential id of a wrong length");
    read.credential_id.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
    CborReader reader(rest.subspan(size));
    const auto cose = read_cose_key(reader);
    if (!cose) return wrong("a key that cannot be read");
    read.key = TRY(key_of(*cose));
    rest = reader.rest();
  }
  if ((flags & kHasExtensions) != 0) {
    CborReader reader(rest);
    if (!reader.skip()) return wrong("extensions that cannot be read");
    rest = reader.rest();
  }
  if (!rest.empty()) return wrong("authenticator data with something behind it");
  return read;
}

Result<ByteView> authenticator_data_of(ByteView attestation_object) {
  if (attestation_object.size() > kAttestationMax) return wrong("an attestation object that is too long");
  CborReader reader(attestation_object);
  const auto pairs = reader.map();
  if (!pairs) return wrong("an attestation object that is no map");
  std::optional<ByteView> data;
  for (size_t i = 0; i < *pairs; ++i) {
    const auto name = reader.text();
    if (!name) return wrong("an attestation object that cannot be read");
    if (*name == "authData") {
      if (data) return wrong("an attestation object with two authData");
      data = reader.bytes();
      if (!data) return wrong("an attestation object whose authData is no byte string");
    } else if (!reader.skip()) {
      return wrong("an attestation object that cannot be read");
    }
  }
  if (!data || !reader.at_end()) return wrong("an attestation object that lacks authData, or goes on");
  return *data;
}

Result<AuthenticatorData> verify_registration(const WebauthnQuestion& question, ByteView client_data_json,
                                              ByteView attestation_object) {
  TRY(check_client_data(question, client_data_json, "webauthn.create"));
  auto made = TRY(parse_authenticator_data(TRY(authenticator_data_of(attestation_object)),
                                           Ceremony::registration, question.rp_id));
  if (!made.user_verified) return wrong("the device did not ask who is there");
  return made;
}

Result<AuthenticatorData> verify_assertion(const WebauthnQuestion& question, const WebauthnKey& key,
                                           ByteView client_data_json, ByteView authenticator_data,
                                           ByteView signature) {
  TRY(check_client_data(question, client_data_json, "webauthn.get"));
  auto made = TRY(parse_authenticator_data(authenticator_data, Ceremony::assertion, question.rp_id));
  if (!made.user_verified) return wrong("the device did not ask who is there");
  Bytes message(authenticator_data.begin(), authenticator_data.end());
  const auto hash = crypto::sha256(client_data_json);
  message.insert(message.end(), hash.begin(), hash.end());
  std::optional<Bytes> raw(Bytes(signature.begin(), signature.end()));
  if (key.algorithm == crypto::SignatureAlgorithm::es256)
    raw = crypto::ecdsa_raw_of_der(signature, kP256Bytes);
  if (!raw || !key.key.verify(key.algorithm, message, *raw)) return wrong("a signature that does not verify");
  return made;
}

}  // namespace merlon::identity
