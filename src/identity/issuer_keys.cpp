// The issuer's keys over time: read anew when another server, or an administrator, has changed them; rotated
// when their time is over.
#include "base/log.h"
#include "identity/keyed_issuer.h"
#include "identity/membership.h"
#include "identity/record_fields.h"

namespace merlon::identity {
namespace {

constexpr const char* kFormKey = "form-key";
constexpr const char* kFormKeyContext = "identity_well_known/form-key/sealed/1";
constexpr size_t kFormKeyBytes = 32;
constexpr Duration kLookEvery = std::chrono::minutes(1);
constexpr std::string_view kRotateAction = "Merlon.Identity/signingKeys/rotate/action";
constexpr std::string_view kRemoveAction = "Merlon.Identity/signingKeys/delete";

ledger::Entry entry_of_ours(std::string_view action, const TenantId& tenant, Timestamp now) {
  ledger::Entry entry;
  entry.time = now;
  entry.actor = {.kind = "System", .object_id = {}, .name = "merlon", .address = {}};
  entry.action = action;
  entry.resource = "/tenants/" + tenant.text() + "/signingKeys";
  entry.reason = "age";
  return entry;
}

}  // namespace

Result<Secret> open_form_key(store::Store& store, const seal::Seal& seal, Random& random,
                             const TenantId& tenant) {
  const JsonObject made{{"sealed", seal.seal(kFormKeyContext, Secret(random.bytes(kFormKeyBytes)))}};
  const auto stored = [&](store::Reader& reader) { return reader.get(well_known_table(), tenant, kFormKey); };
  auto row = TRY(store::read_value<std::optional<store::Row>>(store, stored));
  if (!row)
    row = TRY(store::write_value<std::optional<store::Row>>(
        store, [&](store::Transaction& tx) -> Result<std::optional<store::Row>> {
          if (auto others = TRY(stored(tx))) return others;
          const store::Row own{kFormKey, to_text(made), {}};
          TRY(tx.put(well_known_table(), tenant, own));
          return own;
        }));
  const JsonObject body = TRY(parse_json_object(row->body));
  const std::string sealed = TRY(require_string(body, "sealed"));
  return seal.open(kFormKeyContext, sealed);
}

Result<std::shared_ptr<const SigningKeys>> KeyedIssuer::keys(store::Reader& reader) {
  const std::string generation = TRY(key_store_.generation(reader));
  {
    const std::lock_guard lock(mutex_);
    if (keys_->generation == generation) return keys_;
  }
  auto loaded = std::make_shared<const SigningKeys>(TRY(key_store_.load(reader)));
  const std::lock_guard lock(mutex_);
  keys_ = loaded;
  return loaded;
}

Result<std::shared_ptr<const SigningKeys>> KeyedIssuer::keys() {
  return store::read_value<std::shared_ptr<const SigningKeys>>(
      store_, [&](store::Reader& reader) { return keys(reader); });
}

JsonObject KeyedIssuer::jwks() {
  auto current = keys();
  if (!current) {
    log_error("the signing keys could not be read anew", current.error());
    const std::lock_guard lock(mutex_);
    current = keys_;
  }
  JsonArray list;
  for (const SigningKey& key : (*current)->keys) list.push_back(to_jwks_entry(key));
  return {{"keys", std::move(list)}};
}

Result<JsonArray> KeyedIssuer::describe_keys(store::Reader& reader) {
  const auto current = TRY(keys(reader));
  JsonArray list;
  for (const SigningKey& key : current->keys) {
    const bool signs = &key == &current->signer(clock_.now());
    list.push_back(JsonObject{{"id", key.id},
                              {"createdDateTime", to_rfc3339(key.created)},
                              {"signsFromDateTime", to_rfc3339(key.signs_from)},
                              {"state", signs                           ? "signs"
                                        : key.signs_from > clock_.now() ? "announced"
                                                                        : "verifies"}});
  }
  return list;
}

Result<store::Row> KeyedIssuer::make_key(Rotation rotation) { return key_store_.make(rotation); }

Result<void> KeyedIssuer::adopt_key(store::Transaction& tx, const store::Row& made, Rotation rotation) {
  return key_store_.adopt(tx, made, rotation);
}

Result<void> KeyedIssuer::tick(ledger::Ledger& ledger) {
  if (looked_ && clock_.boottime() - *looked_ < kLookEvery) return {};
  looked_ = clock_.boottime();
  const auto current = TRY(keys());
  if (key_store_.any_retired(*current))
    TRY(store_.write([&](store::Transaction& tx) -> Result<void> {
      const auto removed = TRY(key_store_.remove_retired(tx));
      if (removed.empty()) return {};
      ledger::Entry entry = entry_of_ours(kRemoveAction, tenant(), clock_.now());
      entry.details = {{"keys", to_json_array(removed)}};
      return ledger.append(tx, entry);
    }));
  if (!key_store_.rotation_is_due(*current)) return {};
  const store::Row made = TRY(key_store_.make(Rotation::announced));
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    // Another server was first.
    if (TRY(key_store_.generation(tx)) != current->generation) return {};
    TRY(key_store_.adopt(tx, made, Rotation::announced));
    ledger::Entry entry = entry_of_ours(kRotateAction, tenant(), clock_.now());
    entry.details = {{"key", made.key}, {"mode", "announced"}};
    return ledger.append(tx, entry);
  });
}

}  // namespace merlon::identity
