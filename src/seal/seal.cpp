// Key-encryption keys live in rows under the nil tenant, each wrapped by the root key; sealed text is
// "v1.<key id>.<base64url of nonce ‖ ciphertext ‖ tag>". The key's id is part of the associated data, so a
// text can not be relabelled to another key, and a wrapped key can not be moved to another row.
#include "seal/seal.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "seal/root_key.h"

namespace merlon::seal {
namespace {

constexpr std::string_view kVersion = "v1";
constexpr size_t kKeysMax = 10'000;

const store::TableSpec& keys_table() {
  static const store::TableSpec table{"seal_keys", {}};
  return table;
}

// Keys belong to the whole installation, not to one of its tenants.
TenantId system_tenant() { return {}; }

Bytes wrap_context(const std::string& key_id) { return to_bytes("merlon.seal.kek.v1\n" + key_id); }

// The id has a fixed length and no line break: two different (id, context) pairs never give the same bytes.
Bytes column_context(std::string_view key_id, std::string_view context) {
  std::string text = "merlon.seal.v1\n";
  text += key_id;
  text += '\n';
  text += context;
  return to_bytes(text);
}

struct KeyRow {
  std::string id;
  int64_t number = 1;  // grows with each rotation; the highest seals
  Bytes wrapped;

  store::Row to_row() const {
    return {id, to_text(JsonObject{{"id", id}, {"number", number}, {"wrapped", to_base64url(wrapped)}}), {}};
  }
  static Result<KeyRow> from_row(const store::Row& row) {
    const JsonObject json = TRY(parse_json_object(row.body));
    KeyRow key{TRY(require_string(json, "id")), TRY(require_int(json, "number")), {}};
    auto wrapped = from_base64url(TRY(require_string(json, "wrapped")));
    if (key.id != row.key || !Uuid::parse(key.id) || !wrapped)
      return internal_error("the row of key-encryption key " + row.key + " is malformed");
    key.wrapped = *std::move(wrapped);
    return key;
  }
};

std::unexpected<Error> cannot_open(std::string_view context, std::string_view why) {
  auto error =
      internal_error("sealed value '" + std::string(context) + "' does not open: " + std::string(why));
  error.error().code = "SealBroken";
  return error;
}

class AesSeal final : public Seal {
 public:
  AesSeal(std::map<std::string, Secret, std::less<>> keys, std::string active, Random& random)
      : keys_(std::move(keys)), active_(std::move(active)), random_(random) {}

  std::string seal(std::string_view context, const Secret& secret) const override {
    const Secret& key = keys_.find(active_)->second;
    std::string text(kVersion);
    text += '.';
    text += active_;
    text += '.';
    text += to_base64url(crypto::aead_seal(key, secret.expose(), column_context(active_, context), random_));
    return text;
  }

  Result<Secret> open(std::string_view context, std::string_view sealed) const override {
    const auto parts = split(sealed, '.');
    if (parts.size() != 3 || parts[0] != kVersion)
      return cannot_open(context, "it is not sealed text of version v1");
    const auto key = keys_.find(parts[1]);
    if (key == keys_.end()) return cannot_open(context, "its key-encryption key is not in this database");
    const auto bytes = from_base64url(parts[2]);
    if (!bytes) return cannot_open(context, "it is not base64url");
    auto secret = crypto::aead_open(key->second, *bytes, column_context(parts[1], context));
    if (!secret) return cannot_open(context, "it was changed, or moved here from another row");
    return secret;
  }

 private:
  const std::map<std::string, Secret, std::less<>> keys_;  // by id; never changes, so that no lock is needed
  const std::string active_;
  Random& random_;
};

Result<std::vector<KeyRow>> read_keys(store::Store& store) {
  const auto rows = TRY(store::read_value<std::vector<store::Row>>(store, [](store::Reader& reader) {
    return reader.scan(keys_table(), system_tenant(),
                       {.prefix = {}, .after = {}, .after_key = {}, .limit = kKeysMax});
  }));
  std::vector<KeyRow> keys;
  for (const store::Row& row : rows) keys.push_back(TRY(KeyRow::from_row(row)));
  return keys;
}

Result<KeyRow> make_first_key(store::Store& store, const Secret& root, Random& random) {
  KeyRow key{Uuid::generate(random).text(), 1, {}};
  const Secret secret(random.bytes(crypto::kAes256KeyBytes));
  key.wrapped = crypto::aead_seal(root, secret.expose(), wrap_context(key.id), random);
  TRY(store.write(
      [&](store::Transaction& tx) { return tx.put(keys_table(), system_tenant(), key.to_row()); }));
  return key;
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> all{keys_table()};
  return all;
}

Result<std::unique_ptr<Seal>> Seal::open(store::Store& store, const std::string& root_key_path,
                                         Random& random) {
  std::vector<KeyRow> rows = TRY(read_keys(store));
  std::optional<Secret> root = TRY(read_root_key(root_key_path, rows.empty()));
  if (!root) {
    if (!rows.empty()) {
      return fail(
          ErrorKind::unavailable, "RootKeyMissing",
          "The root key '" + root_key_path +
              "' is missing, but the database holds secrets sealed under it. A new key would not open them. "
              "Put the original file back (it is never part of a state backup), or name its place with "
              "--root-key.",
          root_key_path);
    }
    root = TRY(create_root_key(root_key_path, random));
  }
  if (rows.empty()) rows.push_back(TRY(make_first_key(store, *root, random)));

  std::map<std::string, Secret, std::less<>> keys;
  for (const KeyRow& row : rows) {
    auto key = crypto::aead_open(*root, row.wrapped, wrap_context(row.id));
    if (!key || key->size() != crypto::kAes256KeyBytes) {
      return fail(
          ErrorKind::unavailable, "RootKeyWrong",
          "The root key '" + root_key_path +
              "' is not the one that this database was sealed with. Put the original file back, or name its "
              "place with --root-key.",
          root_key_path);
    }
    keys.emplace(row.id, *std::move(key));
  }
  const auto active = std::max_element(rows.begin(), rows.end(),
                                       [](const KeyRow& a, const KeyRow& b) { return a.number < b.number; });
  return std::make_unique<AesSeal>(std::move(keys), active->id, random);
}

}  // namespace merlon::seal
