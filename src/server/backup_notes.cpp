// Notes of backups, and their entries.
#include "server/backup_notes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "base/time_text.h"
#include "ledger/ledger.h"
#include "server/private_file.h"
#include "server/state_schema.h"

namespace merlon::server {
namespace {

constexpr std::string_view kPrefix = "backup-made-";
constexpr size_t kNoteBytesMax = 16 * 1024;
constexpr size_t kNotesAtOnce = 100;

JsonObject note_of(const BackupReport& report) {
  return {{"backup", report.header.id.text()},
          {"created", to_rfc3339(report.header.created)},
          {"ledgerSize", report.header.ledger_size},
          {"ledgerRoot", report.header.ledger_root},
          {"rows", report.rows},
          {"file", report.file},
          {"userId", static_cast<int64_t>(::getuid())}};
}

Result<void> append(ledger::Ledger& ledger, store::Transaction& tx, const TenantId& tenant, Timestamp now,
                    JsonObject note) {
  ledger::Entry entry;
  entry.time = now;
  entry.actor = {.kind = "System", .object_id = {}, .name = "merlon state backup", .address = {}};
  entry.action = "Merlon.State/backup/action";
  entry.resource = "/tenants/" + tenant.text();
  entry.details = std::move(note);
  return ledger.append(tx, entry);
}

Result<JsonObject> read_note(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kNoteBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  JsonObject note = TRY(parse_json_object(text));
  JsonObject known;
  for (const std::string_view key : {"backup", "created", "ledgerRoot", "file"})
    known[key] = TRY(require_string(note, key));
  for (const std::string_view key : {"ledgerSize", "rows", "userId"})
    known[key] = TRY(require_int(note, key));
  return known;
}

}  // namespace

Result<std::string> note_backup(const StateLocation& location, const BackupReport& report,
                                const seal::Seal& seal, const Clock& clock, Random& random) {
  if (location.store_url != store::kEmbeddedStore) {
    const auto store = TRY(store::open_store(location.store_url, location.state_dir, state_schema()));
    const TenantId& tenant = report.header.tenant;
    const auto ledger = TRY(ledger::Ledger::open(*store, seal, clock, random, tenant));
    TRY(store->write(
        [&](store::Transaction& tx) { return append(*ledger, tx, tenant, clock.now(), note_of(report)); }));
    return std::string();
  }
  const std::string path =
      location.state_dir + "/" + std::string(kPrefix) + report.header.id.text() + ".json";
  // Root makes a backup of a server that runs as somebody else.
  std::optional<FileOwner> owner;
  struct stat directory{};
  if (::stat(location.state_dir.c_str(), &directory) == 0 && directory.st_uid != ::geteuid())
    owner = {.user = directory.st_uid, .group = directory.st_gid};
  TRY(write_private_file(path, to_text(note_of(report)) + "\n", FileReaders::owner, owner));
  return path;
}

Result<void> enter_noted_backups(ledger::Ledger& ledger, store::Store& store, const TenantId& tenant,
                                 const std::string& state_dir, const Clock& clock) {
  std::vector<std::filesystem::path> paths;
  std::vector<JsonObject> notes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(state_dir, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(".json")) continue;
    auto note = read_note(entry.path());
    if (!note) {
      log_error("a note of a backup cannot be read: look at it, and remove it", note.error(),
                {{"file", entry.path().string()}});
      continue;
    }
    paths.push_back(entry.path());
    notes.push_back(*std::move(note));
    if (paths.size() >= kNotesAtOnce) break;
  }
  if (notes.empty()) return {};
  TRY(store.write([&](store::Transaction& tx) -> Result<void> {
    for (const JsonObject& note : notes) TRY(append(ledger, tx, tenant, clock.now(), note));
    return {};
  }));
  // After the commit: whoever dies in between enters one twice, never not at all.
  for (const auto& path : paths) std::filesystem::remove(path, error);
  return {};
}

}  // namespace merlon::server
