// Sealing and opening.
#include "services/vault/hierarchy.h"

#include "crypto/aead.h"

namespace merlon::vault {
namespace {

std::string kek_context(const Uuid& vault, std::string_view kek) {
  return "vaults/" + vault.text() + "/kek/" + std::string(kek);
}

// The key's id has a fixed length and the words differ: no data key opens as data, nor the other way.
Bytes associated(std::string_view what, std::string_view kek, std::string_view context) {
  std::string text = "merlon.vault.v1\n";
  text += what;
  text += '\n';
  text += kek;
  text += '\n';
  text += context;
  return to_bytes(text);
}

std::unexpected<Error> broken(std::string_view context, std::string_view why) {
  auto error = internal_error("'" + std::string(context) + "' does not open: " + std::string(why));
  error.error().code = "SealBroken";
  return error;
}

Result<Bytes> bytes_in(const JsonObject& json, std::string_view key) {
  auto bytes = from_base64url(TRY(require_string(json, key)));
  if (!bytes) return internal_error("sealed value: " + std::string(key) + " is not base64url");
  return *std::move(bytes);
}

}  // namespace

Result<SealedKek> SealedKek::from_json(const Json& json) {
  if (!json.is_object()) return internal_error("vault record: a key-encryption key is no object");
  const JsonObject& object = json.get_object();
  return SealedKek{TRY(require_string(object, "id")), TRY(require_string(object, "sealed"))};
}

JsonObject Sealed::to_json() const {
  return {{"kek", kek}, {"key", to_base64url(data_key)}, {"data", to_base64url(data)}};
}

Result<Sealed> Sealed::from_json(const JsonObject& json) {
  return Sealed{TRY(require_string(json, "kek")), TRY(bytes_in(json, "key")), TRY(bytes_in(json, "data"))};
}

SealedKek make_kek(const seal::Seal& seal, const Uuid& vault, Random& random) {
  const std::string id = Uuid::generate(random).text();
  const Secret key(random.bytes(crypto::kAes256KeyBytes));
  return {id, seal.seal(kek_context(vault, id), key)};
}

Result<Secret> Keyring::kek(std::string_view id) const {
  for (const SealedKek& sealed : keks_) {
    if (sealed.id != id) continue;
    Secret key = TRY(seal_.open(kek_context(vault_, id), sealed.text));
    if (key.size() != crypto::kAes256KeyBytes) return broken(id, "it is not 32 bytes long");
    return key;
  }
  return broken(id, "the vault has no such key-encryption key");
}

Result<Sealed> Keyring::seal(std::string_view context, const Secret& secret, Random& random) const {
  if (keks_.empty()) return broken(context, "the vault has no key-encryption key");
  const std::string& id = keks_.back().id;
  const Secret kek_key = TRY(kek(id));
  const Secret data_key(random.bytes(crypto::kAes256KeyBytes));
  return Sealed{id, crypto::aead_seal(kek_key, data_key.expose(), associated("key", id, context), random),
                crypto::aead_seal(data_key, secret.expose(), associated("data", id, context), random)};
}

Result<Secret> Keyring::open(std::string_view context, const Sealed& sealed) const {
  const Secret kek_key = TRY(kek(sealed.kek));
  const auto data_key = crypto::aead_open(kek_key, sealed.data_key, associated("key", sealed.kek, context));
  if (!data_key || data_key->size() != crypto::kAes256KeyBytes)
    return broken(context, "its data key was changed, or moved here from another version");
  auto secret = crypto::aead_open(*data_key, sealed.data, associated("data", sealed.kek, context));
  if (!secret) return broken(context, "it was changed, or moved here from another version");
  return *std::move(secret);
}

}  // namespace merlon::vault
