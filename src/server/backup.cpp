// Writing a backup.
#include "server/backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/time_text.h"
#include "ledger/ledger.h"
#include "seal/seal.h"
#include "server/backup_notes.h"
#include "server/settings.h"
#include "server/state_schema.h"
#include "store/server_store.h"

namespace merlon::server {
namespace {

constexpr size_t kBufferBytes = 1024 * 1024;
constexpr size_t kPageRows = 500;

// Beside its place until it is whole and on the disk.
class BackupFile {
 public:
  explicit BackupFile(std::string path) : path_(std::move(path)), beside_(path_ + ".new") {}
  BackupFile(const BackupFile&) = delete;
  BackupFile& operator=(const BackupFile&) = delete;
  ~BackupFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    if (!finished_) ::unlink(beside_.c_str());
  }

  Result<void> open() {
    if (std::filesystem::exists(path_))
      return fail(ErrorKind::conflict, "BackupExists",
                  "There is a file " + path_ + " already, and a backup replaces none. Give another name.");
    ::unlink(beside_.c_str());
    descriptor_ = ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return descriptor_ < 0 ? cannot_write() : Result<void>();
  }
  Result<void> add(const JsonObject& json) {
    const std::string line = to_text(json);
    digest_.add(line);
    buffer_ += line + "\n";
    return buffer_.size() < kBufferBytes ? Result<void>() : flush();
  }
  Result<void> finish() {
    TRY(flush());
    if (::fsync(descriptor_) != 0) return cannot_write();
    // link() and not rename(): it replaces nothing.
    if (::link(beside_.c_str(), path_.c_str()) != 0) return cannot_write();
    ::unlink(beside_.c_str());
    finished_ = true;
    const int directory =
        ::open(std::filesystem::path(path_).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return {};
    const bool durable = ::fsync(directory) == 0;
    ::close(directory);
    return durable ? Result<void>() : cannot_write();
  }
  const BackupDigest& digest() const { return digest_; }

 private:
  Result<void> flush() {
    size_t written = 0;
    while (written < buffer_.size()) {
      const ssize_t count = ::write(descriptor_, buffer_.data() + written, buffer_.size() - written);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return cannot_write();
      written += static_cast<size_t>(count);
    }
    buffer_.clear();
    return {};
  }
  Result<void> cannot_write() const {
    return fail(ErrorKind::unavailable, "BackupNotWritten",
                "The backup " + path_ + " could not be written: " + std::strerror(errno) +
                    ". Check the directory, its owner and its free space; no part of it was left.");
  }

  std::string path_, beside_, buffer_;
  BackupDigest digest_;
  int descriptor_ = -1;
  bool finished_ = false;
};

Result<std::string> place_of(const std::string& target, Timestamp now) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(target, error).lexically_normal();
  if (!std::filesystem::is_directory(path, error)) return path.string();
  std::string time = to_rfc3339(std::chrono::floor<std::chrono::seconds>(now));
  std::erase_if(time, [](char c) { return c == '-' || c == ':' || c == '.'; });
  return (path / ("merlon-" + time + ".backup")).string();
}

Result<int64_t> copy_table(store::WholeReader& reader, const store::TableSpec& table, BackupFile& file) {
  int64_t rows = 0;
  for (const TenantId& tenant : TRY(reader.tenants(table))) {
    store::Range range{.prefix = {}, .after = {}, .after_key = {}, .limit = kPageRows};
    for (;;) {
      const auto page = TRY(reader.scan(table, tenant, range));
      for (const store::Row& row : page)
        TRY(file.add(BackupRow{.table = table.name, .tenant = tenant, .row = row}.to_json()));
      rows += static_cast<int64_t>(page.size());
      if (page.size() < range.limit) break;
      range.after = page.back().key;
    }
  }
  return rows;
}

}  // namespace

Result<seal::RootPlace> root_key_of(const StateLocation& location) {
  seal::RootPlace place = TRY(seal::RootPlace::parse(location.root_key_path, location.state_dir));
  if (place.kind != seal::RootKind::file) place.typed = location.typed;
  return place;
}

Result<BackupReport> back_up(const StateLocation& location, const std::string& target, const Clock& clock,
                             Random& random) {
  const store::Schema schema = state_schema();
  const auto store = TRY(store::open_snapshot(location.store_url, location.state_dir, schema));
  TRY(require_complete_state(*store));
  const auto seal = TRY(seal::Seal::open(*store, TRY(root_key_of(location)), random));
  const Settings settings = TRY(open_settings(*store, *seal, clock, random, {}));
  const auto ledger = TRY(ledger::Ledger::open(*store, *seal, clock, random, settings.tenant));

  BackupReport report;
  report.file = TRY(place_of(target, clock.now()));
  report.header = {.id = Uuid::generate(random),
                   .product_version = schema.product_version,
                   .migration = static_cast<int64_t>(schema.migrations.size()),
                   .created = clock.now(),
                   .tenant = settings.tenant,
                   .domain = settings.domain,
                   .ledger_size = 0,
                   .ledger_root = {},
                   .tables = {}};
  for (const store::TableSpec& table : schema.tables) {
    auto& names = report.header.tables[table.name];
    for (const store::IndexSpec& index : table.indexes) names.push_back(index.name);
  }
  BackupFile file(report.file);
  TRY(file.open());
  TRY(store->read_whole([&](store::WholeReader& reader) -> Result<void> {
    const ledger::SignedHead head = TRY(ledger->head(reader));
    report.header.ledger_size = static_cast<int64_t>(head.size);
    report.header.ledger_root = to_hex(head.root);
    TRY(file.add(report.header.to_json()));
    for (const store::TableSpec& table : schema.tables) report.rows += TRY(copy_table(reader, table, file));
    return {};
  }));
  const std::string digest = file.digest().hex();
  const BackupEnd end{.rows = report.rows,
                      .digest = digest,
                      .seal = seal->seal(backup_seal_context(report.header.id), Secret(digest))};
  TRY(file.add(end.to_json()));
  const std::string note = TRY(note_backup(location, report, *seal, clock, random));
  auto finished = file.finish();
  if (!finished) {
    if (!note.empty()) ::unlink(note.c_str());
    return std::unexpected(std::move(finished).error());
  }
  return report;
}

}  // namespace merlon::server
