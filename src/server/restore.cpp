// Reading a backup twice: first all of it is checked, then it is written.
#include "server/restore.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "base/time_text.h"
#include "identity/sessions.h"
#include "server/assembly.h"
#include "server/state_schema.h"

namespace merlon::server {
namespace {

constexpr size_t kBatchRows = 500;
constexpr size_t kBatchBytes = 4 * 1024 * 1024;

Result<std::ifstream> open_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  if (file && !std::filesystem::is_directory(path, error)) return file;
  return fail(ErrorKind::not_found, "BackupNotFound",
              "The backup " + path + " cannot be read. Name a file that 'merlon state backup' has written.");
}

Result<void> require_same_schema(const BackupHeader& header, const store::Schema& schema) {
  bool same = header.migration == static_cast<int64_t>(schema.migrations.size());
  for (const auto& [name, indexes] : header.tables) {
    const auto table = std::ranges::find(schema.tables, name, &store::TableSpec::name);
    same = same && table != schema.tables.end() &&
           std::ranges::equal(table->indexes, indexes, {}, &store::IndexSpec::name);
  }
  if (same) return {};
  return fail(ErrorKind::unsupported, "BackupSchema",
              "The backup was made by merlon " + header.product_version +
                  ", whose tables are not those of this merlon, " + schema.product_version +
                  ". Restore it with that version; then upgrade.");
}

Result<void> require_empty(store::SnapshotStore& store, const store::Schema& schema) {
  return store.read_whole([&](store::WholeReader& reader) -> Result<void> {
    for (const store::TableSpec& table : schema.tables)
      if (!TRY(reader.tenants(table)).empty())
        return fail(ErrorKind::conflict, "RestoreTargetNotEmpty",
                    "There is a state in this place already, or a restore that did not finish. Nothing was "
                    "changed. Restore into an empty directory or database, or move what is there away.");
    return {};
  });
}

class Filler {
 public:
  Filler(store::Store& store, const store::Schema& schema) : store_(store), schema_(schema) {}
  Result<void> add(const BackupRow& row) {
    bytes_ += row.row.key.size() + row.row.body.size();
    batch_.push_back(row);
    return batch_.size() < kBatchRows && bytes_ < kBatchBytes ? Result<void>() : flush();
  }
  Result<void> flush() {
    TRY(store_.write([&](store::Transaction& tx) -> Result<void> {
      for (const BackupRow& row : batch_) {
        const auto table = std::ranges::find(schema_.tables, row.table, &store::TableSpec::name);
        if (table == schema_.tables.end())
          return fail(ErrorKind::invalid, "InvalidBackup",
                      "The backup has a row of a table that its header does not name.");
        TRY(tx.put(*table, row.tenant, row.row));
      }
      return {};
    }));
    batch_.clear();
    bytes_ = 0;
    return {};
  }

 private:
  store::Store& store_;
  const store::Schema& schema_;
  std::vector<BackupRow> batch_;
  size_t bytes_ = 0;
};

Result<BackupEnd> fill(const StateLocation& location, const std::string& path, const store::Schema& schema) {
  const auto store = TRY(store::open_store(location.store_url, location.state_dir, schema));
  TRY(require_empty(*store, schema));
  auto file = TRY(open_file(path));
  Filler filler(*store, schema);
  BackupEnd end = TRY(read_backup(file, {.header = [&](const BackupHeader& header) -> Result<void> {
                                           return store->write([&](store::Transaction& tx) {
                                             return mark_restore(tx, header.id);
                                           });
                                         },
                                         .row = [&](const BackupRow& row) { return filler.add(row); }}));
  TRY(filler.flush());
  return end;
}

// Who holds the root key made the backup; the file may have been anywhere since.
Result<void> require_seal(const Assembly& assembly, const BackupHeader& header, const BackupEnd& end) {
  const auto digest = assembly.core().seal.open(backup_seal_context(header.id), end.seal);
  if (digest && digest->expose_text() == end.digest) return {};
  return fail(
      ErrorKind::forbidden, "BackupNotAuthentic",
      "The backup was changed after it was made, or was made with another root key. What was restored "
      "of it will not start: remove it, and take another backup.");
}

Result<void> record(const Assembly& assembly, store::Transaction& tx, const RestoreReport& report) {
  ledger::Entry entry;
  entry.time = assembly.core().clock.now();
  entry.actor = {.kind = "System", .object_id = {}, .name = "merlon", .address = {}};
  entry.action = "Merlon.State/restore/action";
  entry.resource = "/tenants/" + assembly.settings().tenant.text();
  entry.reason = "restored";
  entry.details = {{"backup", report.header.id.text()},
                   {"backupCreated", to_rfc3339(report.header.created)},
                   {"backupLedgerSize", report.header.ledger_size},
                   {"backupLedgerRoot", report.header.ledger_root},
                   {"machines", static_cast<int64_t>(report.machines)},
                   {"grantsEnded", static_cast<int64_t>(report.grants_ended)},
                   {"hardwareKeysLeft", static_cast<int64_t>(report.token_keys_left)}};
  return assembly.core().ledger.append(tx, entry);
}

// All of it in one transaction, and the mark goes with it.
Result<void> put_in_force(Assembly& assembly, RestoreReport& report) {
  const resource::Core& core = assembly.core();
  return assembly.store().write([&](store::Transaction& tx) -> Result<void> {
    return assembly.manager().as_system(
        tx, "the state was restored from a backup", [&](resource::WriteContext& context) -> Result<void> {
          report.grants_ended = TRY(assembly.grants().end_all(context, "Restored"));
          report.machines = TRY(assembly.machines().start_new_epoch(tx));
          TRY(identity::revoke_all_sessions(tx, core.tenant, core.random));
          const auto left = TRY(vault::forget_keys_being_made(tx, core.tenant));
          report.token_keys_left = left.size();
          for (const std::string& id : left)
            log(LogLevel::warning,
                "a key was being made in the hardware token when the backup was made; it is left there",
                {{"id", id}});
          TRY(record(assembly, tx, report));
          ++context.recorded;
          return clear_restore_mark(tx);
        });
  });
}

}  // namespace

Result<RestoreReport> restore(const StateLocation& location, const std::string& path, const Clock& clock,
                              Random& random) {
  const store::Schema schema = state_schema();
  const seal::RootPlace root_key = TRY(root_key_of(location));
  if (root_key.kind == seal::RootKind::file && !std::filesystem::exists(root_key.detail))
    return fail(ErrorKind::not_found, "RootKeyMissing",
                "The root key " + root_key.detail +
                    " is not there, and no backup holds it. Put the root.key of the state that was backed up "
                    "in this place (mode 0600), or name it with --root-key.");
  RestoreReport report;
  auto file = TRY(open_file(path));
  const BackupEnd checked =
      TRY(read_backup(file, {.header = [&](const BackupHeader& header) -> Result<void> {
                               report.header = header;
                               return require_same_schema(header, schema);
                             },
                             .row = [](const BackupRow&) -> Result<void> { return {}; }}));
  report.rows = checked.rows;
  const BackupEnd end = TRY(fill(location, path, schema));
  AssemblyParameters parameters;
  parameters.state_dir = location.state_dir;
  parameters.root_key = root_key;
  parameters.store_url = location.store_url;
  parameters.restoring = true;
  const auto assembly = TRY(Assembly::make(parameters, clock, random));
  TRY(require_seal(*assembly, report.header, end));
  TRY(put_in_force(*assembly, report));
  assembly->stop();
  return report;
}

}  // namespace merlon::server
