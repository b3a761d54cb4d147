// Credentials of applications: client secrets and certificates.
#include <algorithm>

#include "crypto/digest.h"
#include "crypto/x509.h"
#include "identity/directory.h"
#include "identity/names.h"

namespace merlon::identity {
namespace {

constexpr size_t kSecretCharacters = 34;  // 204 random bits
constexpr size_t kSaltBytes = 16;
constexpr size_t kCredentialsMax = 64;  // of each kind, per application
constexpr unsigned kRsaBitsMin = 2048;
constexpr Duration kLifetimeMax = std::chrono::hours(24) * 366 * 100;

std::unexpected<Error> bad_request(std::string message, std::string target = {}) {
  return fail(ErrorKind::invalid, "Request_BadRequest", std::move(message), std::move(target));
}

// The form of Azure's own client secrets, so that the scanners which look for leaked ones know ours too:
// three characters that are shown as the hint, "8Q~", and the secret proper. Never a '-' in front, which
// command lines take for an option.
Secret make_secret_text(Random& random) {
  const std::string hint = to_hex(random.bytes(2)).substr(1);
  const std::string drawn = to_base64url(random.bytes(kSecretCharacters)).substr(0, kSecretCharacters);
  return Secret(hint + "8Q~" + drawn);
}

std::string secret_digest(const std::string& salt, ByteView secret) {
  Bytes salted = to_bytes(salt);
  salted.insert(salted.end(), secret.begin(), secret.end());
  std::string digest = to_hex(crypto::sha256(salted));
  std::ranges::fill(salted, uint8_t{0});
  return digest;
}

Result<Application> stored_application(store::Reader& reader, const TenantId& tenant, const Uuid& id) {
  auto application = TRY(store::get<Application>(reader, tenant, id.text()));
  if (!application)
    return fail(ErrorKind::not_found, "Request_ResourceNotFound",
                "Application '" + id.text() + "' does not exist in this directory.");
  return *std::move(application);
}

}  // namespace

SecretCheck check_secret(const Application& application, const Secret& secret, Timestamp now) {
  SecretCheck check;
  for (const PasswordCredential& password : application.passwords) {
    const std::string digest = secret_digest(password.salt, secret.expose());
    const bool equal = constant_time_equal(as_bytes(digest), as_bytes(password.digest));
    const bool in_time = password.start <= now && now < password.end;
    if (!equal || check.match == SecretMatch::valid) continue;
    check = {.match = in_time ? SecretMatch::valid : SecretMatch::expired, .credential_id = password.id};
  }
  return check;
}

Result<NewSecret> Directory::add_secret(store::Transaction& tx, const Uuid& application_id,
                                        std::string display_name, Duration lifetime) {
  Application application = TRY(stored_application(tx, tenant_, application_id));
  if (application.public_client)
    return bad_request("Application '" + application.display_name +
                       "' is a public client and keeps no secrets.");
  if (lifetime <= Duration::zero() || lifetime > kLifetimeMax)
    return bad_request("The credential must end in the future, at most 100 years away.", "endDateTime");
  if (application.passwords.size() >= kCredentialsMax)
    return bad_request("An application has at most 64 client secrets. Remove one first.",
                       "passwordCredentials");
  if (!display_name.empty())
    if (const auto problem = display_name_problem(display_name))
      return bad_request("The credential's displayName " + *problem + ".", "displayName");
  const Secret text = make_secret_text(random_);
  PasswordCredential credential{.id = Uuid::generate(random_),
                                .display_name = std::move(display_name),
                                .hint = std::string(text.expose_text().substr(0, 3)),
                                .digest = {},
                                .salt = to_hex(random_.bytes(kSaltBytes)),
                                .start = clock_.now(),
                                .end = clock_.now() + lifetime};
  credential.digest = secret_digest(credential.salt, text.expose());
  application.passwords.push_back(credential);
  TRY(store::put(tx, tenant_, application));
  return NewSecret{.credential = std::move(credential), .text = text};
}

Result<CertificateCredential> Directory::add_certificate(store::Transaction& tx, const Uuid& application_id,
                                                         std::string pem) {
  Application application = TRY(stored_application(tx, tenant_, application_id));
  if (application.public_client)
    return bad_request("Application '" + application.display_name +
                       "' is a public client and keeps no certificates.");
  if (application.certificates.size() >= kCredentialsMax)
    return bad_request("An application has at most 64 certificates. Remove one first.", "keyCredentials");
  const auto facts = crypto::read_certificate(pem);
  const auto key = crypto::certificate_public_key(pem);
  if (!facts || !key) return bad_request("The key credential is not an X.509 certificate.", "keyCredentials");
  if (key->kind() != crypto::KeyKind::rsa || key->bits() < kRsaBitsMin)
    return bad_request(
        "The certificate's key must be RSA with at least 2048 bits: client assertions are signed with "
        "RS256 or PS256.",
        "keyCredentials");
  if (facts->not_after <= clock_.now()) return bad_request("The certificate has expired.", "keyCredentials");
  for (const CertificateCredential& other : application.certificates)
    if (other.sha1_thumbprint_hex == facts->sha1_thumbprint_hex)
      return bad_request("The application has this certificate already.", "keyCredentials");
  // Stored as re-encoded from its DER: what else was in the text is not kept.
  const Bytes der = TRY(crypto::certificate_der(pem));
  CertificateCredential credential{.id = Uuid::generate(random_),
                                   .display_name = "CN=" + facts->subject_common_name,
                                   .certificate_pem = crypto::certificate_pem(der),
                                   .sha1_thumbprint_hex = facts->sha1_thumbprint_hex,
                                   .start = facts->not_before,
                                   .end = facts->not_after};
  application.certificates.push_back(credential);
  TRY(store::put(tx, tenant_, application));
  return credential;
}

Result<void> Directory::remove_credential(store::Transaction& tx, const Uuid& application_id,
                                          const Uuid& credential_id) {
  Application application = TRY(stored_application(tx, tenant_, application_id));
  const auto removed = std::erase_if(application.passwords,
                                     [&](const PasswordCredential& c) { return c.id == credential_id; }) +
                       std::erase_if(application.certificates,
                                     [&](const CertificateCredential& c) { return c.id == credential_id; });
  if (removed == 0)
    return fail(ErrorKind::not_found, "Request_ResourceNotFound",
                "No password or key credential found with keyId '" + credential_id.text() + "'.");
  return store::put(tx, tenant_, application);
}

}  // namespace merlon::identity
