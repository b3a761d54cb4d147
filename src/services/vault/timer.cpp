// What time makes due. Each thing in a write of its own: one that cannot be done holds up no other.
#include "base/log.h"
#include "services/vault/certificates.h"
#include "services/vault/keys.h"
#include "services/vault/service.h"

namespace merlon::vault {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(5);
constexpr size_t kAtOnce = 100;
constexpr auto kWaitForVault = std::chrono::hours(1);
constexpr size_t kPagesMax = 1000;
constexpr size_t kKeptMax = 100'000;
constexpr Duration kWaitAfterFailure = std::chrono::minutes(15);
constexpr Duration kWaitWhileUnavailable = std::chrono::minutes(1);

}  // namespace

bool PutOff::waits(const std::string& key, Timestamp now) const {
  const auto at = until_.find(key);
  // A clock that was set back makes nothing wait longer than the rule says.
  return at != until_.end() && now < at->second && at->second - now <= kWaitAfterFailure;
}

void PutOff::note(const std::string& key, const Result<void>& done, Timestamp now) {
  if (done) {
    until_.erase(key);
    return;
  }
  if (until_.size() >= kKeptMax) until_.clear();
  const bool may_pass = done.error().kind == ErrorKind::unavailable;
  until_[key] = now + (may_pass ? kWaitWhileUnavailable : kWaitAfterFailure);
}

// Rows whose index value "due" has come, oldest first, but for those that have failed lately: a hundred
// things that cannot be done must not be all that is ever looked at.
Result<std::vector<store::Row>> Service::due_rows(const store::TableSpec& table, Timestamp now) {
  const resource::Core& core = platform_.core;
  return store::read_value<std::vector<store::Row>>(
      core.store, [&](store::Reader& reader) -> Result<std::vector<store::Row>> {
        std::vector<store::Row> due;
        store::Range range{.prefix = {}, .after = {}, .after_key = {}, .limit = kAtOnce};
        for (size_t pages = 0; pages < kPagesMax; ++pages) {
          const auto rows = TRY(reader.scan_index(table, core.tenant, "due", range));
          for (const auto& [value, row] : rows) {
            if (value > due_text(now) || due.size() == kAtOnce) return due;
            if (!put_off_.waits(row.key, now)) due.push_back(row);
          }
          if (rows.size() < range.limit) break;
          range.after = rows.back().value;
          range.after_key = rows.back().row.key;
        }
        return due;
      });
}

Result<void> Service::tick(const Guard& guard) {
  const Timestamp now = platform_.grants.now();
  if (now - looked_ < kLookEvery && now >= looked_) return {};
  looked_ = now;
  TRY(purge_due_vaults(guard, now));
  TRY(act_on_due_objects(guard, now));
  TRY(sweep_leftovers(guard));
  return hsm_.sweep(guard, now);
}

Result<void> Service::purge_due_vaults(const Guard& guard, Timestamp now) {
  for (const store::Row& row : TRY(due_rows(Vault::table(), now))) {
    const auto purged = platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
      if (guard) TRY(guard(tx));
      const auto vault = TRY(find(tx, row.key));
      if (!vault || !vault->purge_due || *vault->purge_due > now) return {};
      return platform_.resources.as_system(
          tx, "the deleted vault's retention is over", [&](resource::WriteContext& context) -> Result<void> {
            TRY(destroy(tx, *vault));
            return context.record("Microsoft.KeyVault/locations/deletedVaults/purge/action",
                                  vault->resource_id, {});
          });
    });
    put_off_.note(row.key, purged, now);
    if (!purged) log_error("a deleted vault could not be purged", purged.error(), {{"vault", row.key}});
  }
  return {};
}

Result<void> Service::act_on_due_objects(const Guard& guard, Timestamp now) {
  for (const store::Row& row : TRY(due_rows(Object::table(), now))) {
    const auto done = act_on_due_object(guard, row, now);
    put_off_.note(row.key, done, now);
    if (!done) log_error("what is due in a vault could not be done", done.error(), {{"object", row.key}});
  }
  return {};
}

Result<void> Service::act_on_due_object(const Guard& guard, const store::Row& row, Timestamp now) {
  const Object object = TRY(store::decode<Object>(row));
  if (object.deleted) return purge_due_object(guard, row.key, now);
  if (object.name.kind == Kind::certificates) return renew_due_certificate(guard, row.key, now);
  return rotate_due_key(guard, row.key, now);
}

Result<std::optional<Vault>> Service::vault_of(store::Reader& reader, const Object& object) {
  auto vaults = TRY(store::find<Vault>(reader, platform_.core.tenant, "uid", object.name.vault.text()));
  if (vaults.empty()) return std::optional<Vault>();
  return std::optional<Vault>(std::move(vaults.front()));
}

Result<void> Service::purge_due_object(const Guard& guard, const std::string& key, Timestamp now) {
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    if (guard) TRY(guard(tx));
    const auto object = TRY(store::get<Object>(tx, platform_.core.tenant, key));
    if (!object || !object->deleted || !object->purge_due || *object->purge_due > now) return {};
    const auto vault = TRY(vault_of(tx, *object));
    return platform_.resources.as_system(
        tx, "the deleted object's retention is over", [&](resource::WriteContext& context) -> Result<void> {
          TRY(Objects(platform_.core).destroy(tx, *object));
          const std::string kind(kind_text(object->name.kind));
          return context.record("Microsoft.KeyVault/vaults/" + kind + "/purge/action",
                                (vault ? vault->resource_id : "") + "/" + kind + "/" + object->name.name, {});
        });
  });
}

// A rotation that is due; nothing when it is not to happen now.
Result<std::optional<DueRotation>> Service::due_rotation(store::Reader& reader, const std::string& key,
                                                         Timestamp now) {
  const auto object = TRY(store::get<Object>(reader, platform_.core.tenant, key));
  if (!object || object->deleted || !object->rotate_due || *object->rotate_due > now)
    return std::optional<DueRotation>();
  const auto vault = TRY(vault_of(reader, *object));
  if (!vault) return std::optional<DueRotation>();
  return std::optional<DueRotation>(
      DueRotation{*object, *vault, TRY(Objects(platform_.core).require_version(reader, object->name, {}))});
}

// The new key is made before the transaction; whether it is still wanted is asked again inside.
Result<void> Service::rotate_due_key(const Guard& guard, const std::string& key, Timestamp now) {
  const auto due = TRY(store::read_value<std::optional<DueRotation>>(
      platform_.core.store, [&](store::Reader& reader) { return due_rotation(reader, key, now); }));
  if (!due) return {};
  // A deleted vault's keys wait for it.
  const bool waits = due->vault.deleted.has_value();
  const Keys keys(platform_.core, hsm_);
  std::optional<MadeKey> made;
  if (!waits) made = TRY(keys.make_like(due->vault, due->newest));
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    if (guard) TRY(guard(tx));
    auto current = TRY(due_rotation(tx, key, now));
    if (!current) return {};
    if (!made || current->vault.deleted) {
      current->object.rotate_due = now + kWaitForVault;
      return store::put(tx, platform_.core.tenant, current->object);
    }
    return platform_.resources.as_system(
        tx, "the key's rotation policy", [&](resource::WriteContext& context) -> Result<void> {
          const Version version = TRY(keys.rotate_to(tx, current->vault, current->object, *made, now));
          return context.record("Microsoft.KeyVault/vaults/keys/rotate/action",
                                current->vault.resource_id + "/keys/" + current->object.name.name,
                                {{"version", version.id}});
        });
  });
}

// A vault may have held a million things: its keys are gone, and its rows go some hundreds at a time.
Result<void> Service::sweep_leftovers(const Guard& guard) {
  constexpr size_t kRowsAtOnce = 500;
  const TenantId& tenant = platform_.core.tenant;
  const auto oldest = [&](store::Reader& reader) {
    return store::scan<Leftover>(reader, tenant, {.prefix = {}, .after = {}, .after_key = {}, .limit = 1});
  };
  // Nothing to do is the rule, and no reason to write.
  if (TRY(store::read_value<std::vector<Leftover>>(platform_.core.store, oldest)).empty()) return {};
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    const auto leftovers = TRY(oldest(tx));
    if (leftovers.empty()) return {};
    if (guard) TRY(guard(tx));
    const store::Range range{
        .prefix = leftovers.front().vault.text() + "/", .after = {}, .after_key = {}, .limit = kRowsAtOnce};
    size_t erased = 0;
    for (const store::TableSpec* table :
         {&Version::table(), &Object::table(), &Certificate::table(), &Setting::table()})
      for (const store::Row& row : TRY(tx.scan(*table, tenant, range))) {
        if (table == &Version::table() && row.key.contains("/keys/"))
          TRY(doom(tx, tenant, TRY(store::decode<Version>(row)), platform_.core.clock.now()));
        TRY(tx.erase(*table, tenant, row.key));
        ++erased;
      }
    if (erased == 0) TRY(store::erase<Leftover>(tx, tenant, leftovers.front().key()));
    return {};
  });
}

}  // namespace merlon::vault
