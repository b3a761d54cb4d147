// Rows first, objects between, rows last.
#include "services/vault/hsm_keys.h"

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "services/vault/api.h"
#include "services/vault/objects.h"

namespace merlon::vault {
namespace {

// Longer than any token takes to make a key, so that nobody's key is swept away under their hands.
constexpr auto kMakingMax = std::chrono::minutes(15);
constexpr auto kTryAgain = std::chrono::minutes(1);
constexpr size_t kAtOnce = 50;

Bytes object_id(const std::string& version_id) { return from_hex(version_id).value_or(Bytes()); }

}  // namespace

const store::TableSpec& TokenObject::table() {
  static const store::TableSpec spec{"vault_token_objects", {{"due", store::Unique::no}}};
  return spec;
}
std::vector<std::optional<std::string>> TokenObject::index_values() const { return {due_text(due)}; }
JsonObject TokenObject::to_json() const { return {{"id", id}, {"due", to_rfc3339(due)}, {"doomed", doomed}}; }
Result<TokenObject> TokenObject::from_json(const JsonObject& json) {
  const auto due = from_rfc3339(TRY(require_string(json, "due")));
  if (!due) return internal_error("vault record: due is no time");
  return TokenObject{TRY(require_string(json, "id")), *due, TRY(require_bool(json, "doomed"))};
}

Result<void> HsmKeys::require_allowed(const Vault& vault) const {
  // Azure's own words. Which vaults may have such keys is what its two SKUs differ in.
  if (!ascii_iequal(string_at(vault.properties, "sku.name").value_or(""), "premium"))
    return fault(
        ErrorKind::forbidden, "Forbidden",
        "Hardware key operation not allowed on standard vault. Change the vault's sku to 'premium', or "
        "use the key type without '-HSM'.");
  if (hsm_) return {};
  return fault(
      ErrorKind::unsupported, "NotSupported",
      "Keys of the types with '-HSM' lie in a hardware token, and this server has none. Start it with "
      "--hsm, or use the key type without '-HSM'.");
}

Result<KeyInToken> HsmKeys::make(const Vault& vault, const std::string& name, crypto::HsmKeyWish wish) const {
  TRY(require_allowed(vault));
  KeyInToken made{.version_id = Objects(core_).new_version_id(),
                  .public_key = {},
                  .kind = wish.kind,
                  .oct_bits = wish.kind == crypto::MaterialKind::oct ? wish.bits : 0};
  TRY(core_.store.write([&](store::Transaction& tx) {
    return store::put(tx, core_.tenant, TokenObject{made.version_id, core_.clock.now() + kMakingMax});
  }));
  wish.id = object_id(made.version_id);
  wish.label = "merlon/" + vault.name + "/" + name + "/" + made.version_id;
  made.public_key = TRY(hsm_->generate(wish));
  return made;
}

Result<void> HsmKeys::keep(store::Transaction& tx, const KeyInToken& made) const {
  const auto row = TRY(store::get<TokenObject>(tx, core_.tenant, made.version_id));
  if (!row || row->doomed)
    return fail(ErrorKind::unavailable, "TokenTooSlow",
                "The hardware token took so long to make the key that it was given up. Try again.");
  return store::erase<TokenObject>(tx, core_.tenant, made.version_id);
}

Result<crypto::Hsm*> HsmKeys::token() const {
  if (hsm_) return hsm_.get();
  return fail(ErrorKind::unavailable, "NoHardwareToken",
              "The key lies in a hardware token, and this server has none. Start it with the --hsm of the "
              "server that made the key.");
}

Result<void> HsmKeys::sweep(const Guard& guard, Timestamp now) const {
  if (!hsm_) return {};
  const auto rows = TRY(store::read_value<std::vector<TokenObject>>(
      core_.store, [&](store::Reader& reader) -> Result<std::vector<TokenObject>> {
        std::vector<TokenObject> due;
        for (const auto& [value, row] :
             TRY(reader.scan_index(TokenObject::table(), core_.tenant, "due",
                                   {.prefix = {}, .after = {}, .after_key = {}, .limit = kAtOnce})))
          if (value <= due_text(now)) due.push_back(TRY(store::decode<TokenObject>(row)));
        return due;
      }));
  for (const TokenObject& row : rows) {
    // From here on no version takes it.
    const bool ours = TRY(store::write_value<bool>(core_.store, [&](store::Transaction& tx) -> Result<bool> {
      if (guard) TRY(guard(tx));
      auto current = TRY(store::get<TokenObject>(tx, core_.tenant, row.id));
      if (!current || current->due > now) return false;
      current->doomed = true;
      TRY(store::put(tx, core_.tenant, *current));
      return true;
    }));
    if (!ours) continue;
    const auto destroyed = hsm_->destroy(object_id(row.id));
    if (!destroyed) log_error("a key could not be destroyed in the hardware token", destroyed.error());
    TRY(core_.store.write([&](store::Transaction& tx) -> Result<void> {
      if (guard) TRY(guard(tx));
      if (destroyed) return store::erase<TokenObject>(tx, core_.tenant, row.id);
      return store::put(tx, core_.tenant, TokenObject{row.id, now + kTryAgain, true});
    }));
  }
  return {};
}

Result<std::vector<std::string>> forget_keys_being_made(store::Transaction& tx, const TenantId& tenant) {
  std::vector<std::string> forgotten;
  std::string after;
  for (;;) {
    const auto rows = TRY(store::scan<TokenObject>(
        tx, tenant, {.prefix = {}, .after = after, .after_key = {}, .limit = kAtOnce}));
    for (const TokenObject& row : rows) {
      after = row.key();
      // What is doomed was purged before the backup was made: nothing takes that back.
      if (row.doomed) continue;
      TRY(store::erase<TokenObject>(tx, tenant, row.key()));
      forgotten.push_back(row.id);
    }
    if (rows.size() < kAtOnce) return forgotten;
  }
}

Result<void> doom(store::Transaction& tx, const TenantId& tenant, const Version& version, Timestamp now) {
  if (!version.in_hsm) return {};
  return store::put(tx, tenant, TokenObject{version.id, now, true});
}

crypto::HsmKey key_in_token(const Version& version) {
  crypto::HsmKey key;
  key.id = object_id(version.id);
  const std::string type = string_at(version.public_key, "kty").value_or("");
  key.kind = type.starts_with("RSA")  ? crypto::MaterialKind::rsa
             : type.starts_with("EC") ? crypto::MaterialKind::ec
                                      : crypto::MaterialKind::oct;
  key.curve = string_at(version.public_key, "crv").value_or("");
  key.bits = static_cast<unsigned>(version.oct_bits);
  if (key.kind == crypto::MaterialKind::rsa)
    key.bits = static_cast<unsigned>(
        from_base64url(string_at(version.public_key, "n").value_or("")).value_or(Bytes()).size() * 8);
  return key;
}

}  // namespace merlon::vault
