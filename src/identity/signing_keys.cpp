// Making, sealing, opening, rotating and publishing signing keys.
#include "identity/signing_keys.h"

#include <algorithm>

#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/own_key.h"
#include "crypto/x509.h"
#include "identity/membership.h"
#include "identity/record_fields.h"

namespace merlon::identity {
namespace {

constexpr unsigned kRsaBits = 2048;
constexpr Duration kCertificateLifetime = std::chrono::hours(24) * 365 * 20;
constexpr Duration kSignsFor = std::chrono::hours(24) * 90;
constexpr Duration kAnnouncedFor = std::chrono::hours(24);  // longer than clients keep our key set
constexpr Duration kKeptFor = std::chrono::hours(2);        // beyond the life of a token and the skew
constexpr const char* kGenerationKey = "signing-keys";
constexpr size_t kGenerationBytes = 12;

std::string seal_context(const std::string& key_id) {
  return "identity_signing_keys/" + key_id + "/private/1";
}

// Rows of before there was rotation sign from when they were made.
Result<Timestamp> signs_from(const JsonObject& body) {
  return body.contains("signsFrom") ? require_time(body, "signsFrom") : require_time(body, "created");
}

Result<SigningKey> open_key(const seal::Seal& seal, const store::Row& row) {
  const JsonObject body = TRY(parse_json_object(row.body));
  const std::string sealed = TRY(require_string(body, "private"));
  const Secret der = TRY(seal.open(seal_context(row.key), sealed));
  auto key = TRY(crypto::read_own_key(der));
  auto public_half = key.public_key();
  if (crypto::jwk_thumbprint(public_half) != row.key)
    return internal_error("signing key " + row.key + " is stored under a name that is not its thumbprint");
  std::string certificate = TRY(require_string(body, "certificate"));
  const Bytes certificate_der = TRY(crypto::certificate_der(certificate));
  return SigningKey{.id = row.key,
                    .certificate_pem = std::move(certificate),
                    .x5t = to_base64url(crypto::sha1(certificate_der)),
                    .created = TRY(require_time(body, "created")),
                    .signs_from = TRY(signs_from(body)),
                    .key = std::move(key),
                    .public_half = std::move(public_half)};
}

// A later key has signed for so long that nothing which this one signed is good any more.
bool is_retired(Timestamp since, const std::vector<Timestamp>& all, Timestamp now) {
  return std::ranges::any_of(all, [&](Timestamp other) { return other > since && now - other >= kKeptFor; });
}

}  // namespace

const SigningKey& SigningKeys::signer(Timestamp now) const {
  MERLON_CHECK(!keys.empty());
  const auto signing =
      std::ranges::find_if(keys, [&](const SigningKey& key) { return key.signs_from <= now; });
  // A clock that was set back finds none: the oldest is the one that everybody knows.
  return signing == keys.end() ? keys.back() : *signing;
}

Result<std::vector<store::Row>> SigningKeyStore::rows(store::Reader& reader) const {
  return reader.scan(signing_key_table(), tenant_, {.prefix = {}, .after = {}, .after_key = {}});
}

Result<std::string> SigningKeyStore::generation(store::Reader& reader) const {
  const auto row = TRY(reader.get(well_known_table(), tenant_, kGenerationKey));
  return row ? row->body : std::string();
}

Result<void> SigningKeyStore::next_generation(store::Transaction& tx) const {
  return tx.put(
      well_known_table(), tenant_,
      {kGenerationKey, to_text(JsonObject{{"generation", to_hex(random_.bytes(kGenerationBytes))}}), {}});
}

Result<SigningKeys> SigningKeyStore::load(store::Reader& reader) const {
  SigningKeys loaded;
  loaded.generation = TRY(generation(reader));
  for (const store::Row& row : TRY(rows(reader))) loaded.keys.push_back(TRY(open_key(seal_, row)));
  if (loaded.keys.empty()) return internal_error("there is no signing key in the store");
  std::ranges::sort(loaded.keys,
                    [](const SigningKey& a, const SigningKey& b) { return a.signs_from > b.signs_from; });
  return loaded;
}

Result<SigningKeys> SigningKeyStore::open(store::Store& store) const {
  const bool empty = TRY(store::read_value<bool>(
      store, [&](store::Reader& reader) -> Result<bool> { return TRY(rows(reader)).empty(); }));
  if (empty) {
    const store::Row made = TRY(make(Rotation::at_once));
    TRY(store.write([&](store::Transaction& tx) -> Result<void> {
      // Another server was first.
      if (!TRY(rows(tx)).empty()) return {};
      return adopt(tx, made, Rotation::at_once);
    }));
  }
  return store::read_value<SigningKeys>(store, [&](store::Reader& reader) { return load(reader); });
}

Result<store::Row> SigningKeyStore::make(Rotation rotation) const {
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::rsa, kRsaBits));
  const std::string id = crypto::jwk_thumbprint(key.public_key());
  const Timestamp now = clock_.now();
  const std::string certificate =
      TRY(crypto::make_self_signed({.common_name = "Merlon token signing, " + domain_,
                                    .dns_names = {},
                                    .addresses = {},
                                    .use = crypto::LeafUse::tls_client,
                                    .not_before = now,
                                    .not_after = now + kCertificateLifetime},
                                   key, random_));
  const Timestamp from = rotation == Rotation::announced ? now + kAnnouncedFor : now;
  const JsonObject body{{"created", to_rfc3339(now)},
                        {"signsFrom", to_rfc3339(from)},
                        {"certificate", certificate},
                        {"private", seal_.seal(seal_context(id), key.pkcs8_der())}};
  return store::Row{id, to_text(body), {}};
}

Result<void> SigningKeyStore::adopt(store::Transaction& tx, const store::Row& made, Rotation rotation) const {
  for (const store::Row& row : TRY(rows(tx))) {
    const JsonObject body = TRY(parse_json_object(row.body));
    const Timestamp from = TRY(signs_from(body));
    const bool announced = from > clock_.now();
    if (announced && rotation == Rotation::announced)
      return fail(ErrorKind::conflict, "Request_BadRequest",
                  "A new signing key is announced already; it signs from " + to_rfc3339(from) +
                      ". Rotate at once if you cannot wait.");
    // An announced key has signed nothing yet, and is not to take over from the one that is put in force
    // here.
    if (announced || rotation == Rotation::compromised) TRY(tx.erase(signing_key_table(), tenant_, row.key));
  }
  TRY(tx.put(signing_key_table(), tenant_, made));
  return next_generation(tx);
}

Result<std::vector<std::string>> SigningKeyStore::remove_retired(store::Transaction& tx) const {
  const auto all = TRY(rows(tx));
  std::vector<Timestamp> times;
  for (const store::Row& row : all) {
    const JsonObject body = TRY(parse_json_object(row.body));
    times.push_back(TRY(signs_from(body)));
  }
  std::vector<std::string> removed;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!is_retired(times[i], times, clock_.now())) continue;
    TRY(tx.erase(signing_key_table(), tenant_, all[i].key));
    removed.push_back(all[i].key);
  }
  if (!removed.empty()) TRY(next_generation(tx));
  return removed;
}

bool SigningKeyStore::rotation_is_due(const SigningKeys& keys) const {
  return clock_.now() >= keys.keys.front().signs_from + kSignsFor - kAnnouncedFor;
}

bool SigningKeyStore::any_retired(const SigningKeys& keys) const {
  std::vector<Timestamp> times;
  for (const SigningKey& key : keys.keys) times.push_back(key.signs_from);
  return std::ranges::any_of(times, [&](Timestamp since) { return is_retired(since, times, clock_.now()); });
}

JsonObject to_jwks_entry(const SigningKey& key) {
  JsonObject entry = crypto::to_jwk(key.public_half);
  entry["use"] = "sig";
  entry["alg"] = "RS256";
  entry["kid"] = key.id;
  entry["x5t"] = key.x5t;
  if (const auto der = crypto::certificate_der(key.certificate_pem))
    entry["x5c"] = JsonArray{to_base64(*der)};
  return entry;
}

}  // namespace merlon::identity
