// Key-encryption keys live in rows under the nil tenant, each wrapped by the root key; sealed text is
// "v1.<key id>.<base64url of nonce ‖ ciphertext ‖ tag>". The key's id is part of the associated data, so a
// text can not be relabelled to another key, and a wrapped key can not be moved to another row.
#include "seal/seal.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "seal/root_key.h"
#include "seal/root_record.h"

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

struct NewRoot final : PendingRoot {
  RootPlace place;
  RootRecord record;
  Secret key;
  NewRoot(RootPlace where, RootRecord kept, Secret secret)
      : place(std::move(where)), record(std::move(kept)), key(std::move(secret)) {}
};

std::unexpected<Error> rotated_elsewhere() {
  return fail(
      ErrorKind::conflict, "RootKeyRotated",
      "Another server has rotated the root key since this one started. Restart this one with the root key of "
      "now, then try again.");
}

Result<std::vector<KeyRow>> read_keys(store::Reader& reader) {
  std::vector<KeyRow> keys;
  for (const store::Row& row : TRY(reader.scan(
           keys_table(), system_tenant(), {.prefix = {}, .after = {}, .after_key = {}, .limit = kKeysMax})))
    keys.push_back(TRY(KeyRow::from_row(row)));
  return keys;
}

class AesSeal final : public Seal {
 public:
  AesSeal(std::map<std::string, Secret, std::less<>> keys, std::string active, Secret root,
          std::string root_id, RootPlace place, Random& random)
      : keys_(std::move(keys)),
        active_(std::move(active)),
        root_(std::move(root)),
        root_id_(std::move(root_id)),
        place_(std::move(place)),
        random_(random) {}

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

  Result<std::unique_ptr<PendingRoot>> prepare_root(const RootPlace& to) override {
    Secret key(random_.bytes(crypto::kAes256KeyBytes));
    RootRecord record = TRY(keep_root(to, key, random_));
    if (to.kind == RootKind::file) {
      const RootPlace now = place();
      if ((now.kind != RootKind::file || now.detail != to.detail) && std::filesystem::exists(to.detail))
        return fail(ErrorKind::conflict, "RootKeyFileExists",
                    "There is a file " + to.detail +
                        " already, and a root key never replaces one that is not its "
                        "own. Move it away, or name another place.");
      TRY(put_next_root_key(to.detail, key));
    }
    return std::make_unique<NewRoot>(to, std::move(record), std::move(key));
  }

  Result<int64_t> rewrap(store::Transaction& tx, PendingRoot& pending) override {
    const auto& next = dynamic_cast<NewRoot&>(pending);
    const std::scoped_lock lock(mutex_);
    if (TRY(read_root_record(tx)).id != root_id_) return rotated_elsewhere();
    const std::vector<KeyRow> rows = TRY(read_keys(tx));
    for (KeyRow row : rows) {
      const Secret key = TRY(crypto::aead_open(root_, row.wrapped, wrap_context(row.id)));
      row.wrapped = crypto::aead_seal(next.key, key.expose(), wrap_context(row.id), random_);
      TRY(tx.put(keys_table(), system_tenant(), row.to_row()));
    }
    TRY(tx.put(root_table(), system_tenant(), next.record.to_row()));
    return static_cast<int64_t>(rows.size());
  }

  Result<std::string> finish_root(PendingRoot& pending, const std::string& time) override {
    auto& next = dynamic_cast<NewRoot&>(pending);
    const RootPlace before = place();
    {
      const std::scoped_lock lock(mutex_);
      root_ = next.key;
      root_id_ = next.record.id;
      place_ = next.place;
      place_.typed.reset();
    }
    if (next.place.kind == RootKind::file) {
      const std::string retired = TRY(adopt_next_root_key(next.place.detail, time));
      if (before.kind != RootKind::file || before.detail == next.place.detail) return retired;
    }
    return before.kind == RootKind::file ? retire_root_key(before.detail, time)
                                         : Result<std::string>(std::string());
  }

  Result<Secret> make_recovery_key(store::Transaction& tx) override {
    const std::scoped_lock lock(mutex_);
    RootRecord record = TRY(read_root_record(tx));
    if (record.id != root_id_) return rotated_elsewhere();
    if (record.kind == RootKind::file)
      return fail(ErrorKind::conflict, "RootKeyIsAFile",
                  "The root key is " + describe(place_) +
                      ": keep a copy of that where you would keep a recovery key.");
    Secret key = new_recovery_key(random_);
    record.recovery = wrap_for_recovery(record, root_, key, random_);
    TRY(tx.put(root_table(), system_tenant(), record.to_row()));
    return key;
  }

  RootPlace place() const override {
    const std::scoped_lock lock(mutex_);
    return place_;
  }

 private:
  const std::map<std::string, Secret, std::less<>> keys_;  // by id; never changes, so that no lock is needed
  const std::string active_;
  mutable std::mutex mutex_;
  Secret root_;
  std::string root_id_;
  RootPlace place_;
  Random& random_;
};

struct Stored {
  RootRecord record;
  std::vector<KeyRow> keys;
};

Result<Stored> read_stored(store::Store& store) {
  return store::read_value<Stored>(store, [](store::Reader& reader) -> Result<Stored> {
    return Stored{TRY(read_root_record(reader)), TRY(read_keys(reader))};
  });
}

using Keys = std::map<std::string, Secret, std::less<>>;

// Nothing when `root` is not what wrapped them.
std::optional<Keys> unwrap_keys(const std::vector<KeyRow>& rows, const Secret& root) {
  Keys keys;
  for (const KeyRow& row : rows) {
    auto key = crypto::aead_open(root, row.wrapped, wrap_context(row.id));
    if (!key || key->size() != crypto::kAes256KeyBytes) return std::nullopt;
    keys.emplace(row.id, *std::move(key));
  }
  return keys;
}

struct Opened {
  Secret root;
  Keys keys;
};

std::unexpected<Error> root_key_wrong(const std::string& path) {
  return fail(
      ErrorKind::unavailable, "RootKeyWrong",
      "The root key '" + path +
          "' is not the one that this database was sealed with. Put the original file back, or name its "
          "place with --root-key.",
      path);
}

// A crash after a rotation's commit leaves the right key in PATH.next.
Result<std::optional<Opened>> open_by_next_file(const Stored& stored, const std::string& path) {
  const auto next = TRY(read_root_key(next_root_key_path(path), false));
  if (!next) return std::optional<Opened>();
  auto keys = unwrap_keys(stored.keys, *next);
  if (!keys) return std::optional<Opened>();
  TRY(adopt_next_root_key(path, "rotation-" + stored.record.id));
  return std::optional(Opened{*next, *std::move(keys)});
}

Result<Opened> open_by_file(const Stored& stored, const std::string& path) {
  const std::optional<Secret> root = TRY(read_root_key(path, stored.keys.empty()));
  if (root)
    if (auto keys = unwrap_keys(stored.keys, *root)) return Opened{*root, *std::move(keys)};
  if (auto opened = TRY(open_by_next_file(stored, path))) return *std::move(opened);
  if (root) return root_key_wrong(path);
  return fail(
      ErrorKind::unavailable, "RootKeyMissing",
      "The root key '" + path +
          "' is missing, but the database holds secrets sealed under it. A new key would not open them. "
          "Put the original file back (it is never part of a state backup), or name its place with "
          "--root-key.",
      path);
}

std::string_view option_for(RootKind kind) {
  switch (kind) {
    case RootKind::passphrase:
      return "--root-key passphrase:";
    case RootKind::token:
      return "--root-key 'pkcs11:…', the URI of its token";
    case RootKind::tpm:
      return "--root-key 'tpm:…', with the registers that were chosen";
    case RootKind::file:
      break;
  }
  return "--root-key FILE";
}

Result<Opened> open_existing(const Stored& stored, const RootPlace& place) {
  if (stored.record.kind != place.kind)
    return fail(ErrorKind::unavailable, "RootKeyElsewhere",
                "The root key of this database is not kept by " + describe(place) + ". Start with " +
                    std::string(option_for(stored.record.kind)) + ".");
  if (place.kind == RootKind::file) return open_by_file(stored, place.detail);
  const Secret root = TRY(open_root(stored.record, place));
  auto keys = unwrap_keys(stored.keys, root);
  if (!keys) return internal_error("the root key opens, but not the keys that it should have wrapped");
  return Opened{root, *std::move(keys)};
}

// The first start: the key is kept before anything is sealed under it.
Result<void> make_first(store::Store& store, const RootPlace& place, Random& random) {
  RootRecord record;
  Secret root;
  if (place.kind == RootKind::file) {
    const auto found = TRY(read_root_key(place.detail, true));
    root = found ? *found : TRY(create_root_key(place.detail, random));
  } else {
    if (place.kind == RootKind::passphrase && !place.typed) return passphrase_needed();
    root = Secret(random.bytes(crypto::kAes256KeyBytes));
    record = TRY(keep_root(place, root, random));
  }
  KeyRow key{Uuid::generate(random).text(), 1, {}};
  const Secret secret(random.bytes(crypto::kAes256KeyBytes));
  key.wrapped = crypto::aead_seal(root, secret.expose(), wrap_context(key.id), random);
  return store.write([&](store::Transaction& tx) -> Result<void> {
    if (place.kind != RootKind::file) TRY(tx.put(root_table(), system_tenant(), record.to_row()));
    return tx.put(keys_table(), system_tenant(), key.to_row());
  });
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> all{keys_table(), root_table()};
  return all;
}

Result<std::unique_ptr<Seal>> Seal::open(store::Store& store, const RootPlace& place, Random& random) {
  Stored stored = TRY(read_stored(store));
  if (stored.keys.empty()) {
    TRY(make_first(store, place, random));
    stored = TRY(read_stored(store));
  }
  Opened opened = TRY(open_existing(stored, place));
  const auto active = std::max_element(stored.keys.begin(), stored.keys.end(),
                                       [](const KeyRow& a, const KeyRow& b) { return a.number < b.number; });
  RootPlace kept = place;
  kept.typed.reset();
  return std::make_unique<AesSeal>(std::move(opened.keys), active->id, std::move(opened.root),
                                   stored.record.id, std::move(kept), random);
}

}  // namespace merlon::seal
