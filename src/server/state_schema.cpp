// All tables, and the mark of an unfinished restore: a row beside the settings, under the nil tenant as they
// are.
#include "server/state_schema.h"

#include "access/access.h"
#include "base/json.h"
#include "base/text.h"
#include "grant/grant.h"
#include "identity/directory.h"
#include "ledger/ledger.h"
#include "machine/machines.h"
#include "recording/recordings.h"
#include "seal/seal.h"
#include "server/settings.h"
#include "services/bastion/api.h"
#include "services/compute/api.h"
#include "services/credential/api.h"
#include "services/jit/api.h"
#include "services/managed_identity/api.h"
#include "services/network/api.h"
#include "services/ssh/api.h"
#include "services/terminal/api.h"
#include "services/vault/api.h"
#include "store/lease.h"

namespace merlon::server {
namespace {

const TenantId kNoTenant{};
constexpr std::string_view kMark = "restoring";
constexpr std::string_view kSettings = "settings";

Result<bool> has(store::Store& store, std::string_view key) {
  return store::read_value<bool>(store, [&](store::Reader& reader) -> Result<bool> {
    return TRY(reader.get(tables().front(), kNoTenant, key)).has_value();
  });
}

// The one tenant, when there is one already.
Result<std::optional<TenantId>> known_tenant(store::Reader& reader) {
  const auto row = TRY(reader.get(tables().front(), kNoTenant, kSettings));
  if (!row) return std::nullopt;
  const auto tenant = Uuid::parse(TRY(require_string(TRY(parse_json_object(row->body)), "tenantId")));
  if (!tenant) return internal_error("the settings name no tenant");
  return TenantId{*tenant};
}

Result<void> index_grants(store::Transaction& tx) {
  const auto tenant = TRY(known_tenant(tx));
  if (!tenant) return {};
  return grant::index_active_grants(tx, *tenant, [](const JsonObject& data) {
    return ascii_lower(string_at(data, "policyId").value_or(""));
  });
}

Result<void> rewrite_groups(store::Transaction& tx) {
  const auto tenant = TRY(known_tenant(tx));
  if (!tenant) return {};
  return network::rewrite_security_groups(tx, *tenant);
}

}  // namespace

store::Schema state_schema() {
  store::Schema schema;
  schema.tables.push_back(store::leases_table());
  for (const auto* specs :
       {&tables(), &seal::tables(), &ledger::tables(), &identity::tables(), &access::tables(),
        &resource::tables(), &grant::tables(), &machine::tables(), &compute::tables(),
        &managed_identity::tables(), &network::tables(), &vault::tables(), &jit::tables(), &bastion::tables(),
        &recording::tables(), &ssh_identity::tables(), &credential::tables(), &terminal::tables()})
    schema.tables.insert(schema.tables.end(), specs->begin(), specs->end());
  schema.migrations = {
      {.number = 1, .name = "active grants by subject and group", .apply = index_grants},
      {.number = 2, .name = "just-in-time rules once for all views", .apply = rewrite_groups}};
  return schema;
}

Result<void> mark_restore(store::Transaction& tx, const Uuid& backup) {
  return tx.put(tables().front(), kNoTenant,
                {std::string(kMark), to_text(JsonObject{{"backup", backup.text()}}), {}});
}

Result<void> clear_restore_mark(store::Transaction& tx) {
  return tx.erase(tables().front(), kNoTenant, kMark);
}

Result<void> refuse_unfinished_restore(store::Store& store) {
  if (!TRY(has(store, kMark))) return {};
  return fail(ErrorKind::unavailable, "RestoreUnfinished",
              "A backup was being restored here, and the restore did not finish: half a state is not served. "
              "Remove this state directory or database, and run 'merlon state restore' again.");
}

Result<void> require_complete_state(store::Store& store) {
  TRY(refuse_unfinished_restore(store));
  if (TRY(has(store, kSettings))) return {};
  return fail(ErrorKind::not_found, "StateNotFound",
              "There is no Merlon state in this place: no server has started on it yet.");
}

}  // namespace merlon::server
