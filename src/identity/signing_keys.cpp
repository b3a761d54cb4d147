// Making, sealing, opening and publishing signing keys.
#include "identity/signing_keys.h"

#include <algorithm>

#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/x509.h"
#include "identity/membership.h"
#include "identity/record_fields.h"

namespace merlon::identity {
namespace {

constexpr unsigned kRsaBits = 2048;
constexpr Duration kCertificateLifetime = std::chrono::hours(24) * 365 * 20;

std::string seal_context(const std::string& key_id) {
  return "identity_signing_keys/" + key_id + "/private/1";
}

Result<store::Row> make_key(const seal::Seal& seal, const Clock& clock, Random& random,
                            const std::string& domain) {
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::rsa, kRsaBits));
  const std::string id = crypto::jwk_thumbprint(key.public_key());
  const std::string certificate =
      TRY(crypto::make_self_signed({.common_name = "Merlon token signing, " + domain,
                                    .dns_names = {},
                                    .addresses = {},
                                    .use = crypto::LeafUse::tls_client,
                                    .not_before = clock.now(),
                                    .not_after = clock.now() + kCertificateLifetime},
                                   key, random));
  const JsonObject body{{"created", to_rfc3339(clock.now())},
                        {"certificate", certificate},
                        {"private", seal.seal(seal_context(id), key.pkcs8_der())}};
  return store::Row{id, to_text(body), {}};
}

Result<SigningKey> open_key(const seal::Seal& seal, const store::Row& row) {
  const JsonObject body = TRY(parse_json_object(row.body));
  const std::string sealed = TRY(require_string(body, "private"));
  const Secret der = TRY(seal.open(seal_context(row.key), sealed));
  auto key = TRY(crypto::PrivateKey::from_pkcs8_der(der));
  if (crypto::jwk_thumbprint(key.public_key()) != row.key)
    return internal_error("signing key " + row.key + " is stored under a name that is not its thumbprint");
  std::string certificate = TRY(require_string(body, "certificate"));
  const Bytes certificate_der = TRY(crypto::certificate_der(certificate));
  return SigningKey{.id = row.key,
                    .certificate_pem = std::move(certificate),
                    .x5t = to_base64url(crypto::sha1(certificate_der)),
                    .created = TRY(require_time(body, "created")),
                    .key = std::move(key)};
}

}  // namespace

Result<std::vector<SigningKey>> open_signing_keys(store::Store& store, const seal::Seal& seal,
                                                  const Clock& clock, Random& random, const TenantId& tenant,
                                                  const std::string& domain) {
  const store::Range all{.prefix = {}, .after = {}, .after_key = {}};
  auto rows = TRY(store::read_value<std::vector<store::Row>>(
      store, [&](store::Reader& reader) { return reader.scan(signing_key_table(), tenant, all); }));
  if (rows.empty()) {
    // Made outside of the transaction: finding primes takes long. Two servers cannot race here, the store is
    // locked.
    const store::Row made = TRY(make_key(seal, clock, random, domain));
    TRY(store.write([&](store::Transaction& tx) { return tx.put(signing_key_table(), tenant, made); }));
    rows.push_back(made);
  }
  std::vector<SigningKey> keys;
  for (const store::Row& row : rows) keys.push_back(TRY(open_key(seal, row)));
  std::ranges::sort(keys, [](const SigningKey& a, const SigningKey& b) { return a.created > b.created; });
  return keys;
}

JsonObject to_jwks_entry(const SigningKey& key) {
  JsonObject entry = crypto::to_jwk(key.key.public_key());
  entry["use"] = "sig";
  entry["alg"] = "RS256";
  entry["kid"] = key.id;
  entry["x5t"] = key.x5t;
  if (const auto der = crypto::certificate_der(key.certificate_pem))
    entry["x5c"] = JsonArray{to_base64(*der)};
  return entry;
}

}  // namespace merlon::identity
