// The embedded store: one writer, and readers that each have a connection of their own while they read.
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "store/server_store.h"
#include "store/sqlite_connection.h"
#include "store/sqlite_rows.h"
#include "store/sqlite_schema.h"
#include "store/sqlite_writer.h"
#include "store/state_directory.h"
#include "store/write_queue.h"

namespace merlon::store {
namespace {

constexpr size_t kIdleReadersMax = 16;

class SqliteWholeReader final : public WholeReader {
 public:
  SqliteWholeReader(Connection& connection, const Layout& layout) : rows_(connection, layout) {}
  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                 std::string_view key) override {
    return rows_.get(table, tenant, key);
  }
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range) override {
    return rows_.scan(table, tenant, range);
  }
  Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                             std::string_view index, const Range& range) override {
    return rows_.scan_index(table, tenant, index, range);
  }
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value) override {
    return rows_.find(table, tenant, index, value);
  }
  Result<std::vector<TenantId>> tenants(const TableSpec& table) override { return rows_.tenants(table); }

 private:
  RowAccess rows_;
};

// Snapshots, each on a connection of its own while it lasts.
class SqliteReaders {
 public:
  SqliteReaders(std::string path, const char* vfs, const Layout& layout)
      : path_(std::move(path)), vfs_(vfs), layout_(layout) {}
  Result<void> read(const std::function<Result<void>(WholeReader&)>& work);
  void close() { idle_.clear(); }

 private:
  Result<std::unique_ptr<Connection>> take();
  void keep(std::unique_ptr<Connection> connection);

  std::string path_;
  const char* vfs_;
  const Layout& layout_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

Result<std::unique_ptr<Connection>> SqliteReaders::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  return Connection::open(path_, Connection::Access::read_only, vfs_);
}

void SqliteReaders::keep(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleReadersMax) idle_.push_back(std::move(connection));
}

Result<void> SqliteReaders::read(const std::function<Result<void>(WholeReader&)>& work) {
  auto connection = TRY(take());
  TRY(connection->run("BEGIN"));
  // BEGIN alone takes no snapshot; the first row read does. It is taken now, so that the caller knows of when
  // it is.
  {
    auto first = TRY(connection->query("SELECT 1 FROM merlon_meta LIMIT 1"));
    TRY(first.step());
  }
  SqliteWholeReader reader(*connection, layout_);
  auto result = run_guarded([&](Reader&) { return work(reader); }, reader);
  // A connection that cannot end its snapshot is closed instead of kept.
  if (connection->run("COMMIT")) keep(std::move(connection));
  return result;
}

class SqliteStore final : public EmbeddedStore {
 public:
  SqliteStore(std::unique_ptr<StateDisk> directory, WriterMode mode, Layout layout,
              std::unique_ptr<Connection> connection)
      : directory_(std::move(directory)),
        layout_(std::move(layout)),
        writer_(std::move(connection), layout_, *directory_, std::move(mode)),
        readers_(directory_->database_path(), directory_->vfs(), layout_) {}
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore() override {
    readers_.close();
  }  // before the writer: SQLite tidies up at the last close, which is its job

  Result<void> write(const std::function<Result<void>(Transaction&)>& work) override {
    return writer_.write(work);
  }
  Result<void> read(const std::function<Result<void>(Reader&)>& work) override {
    return readers_.read([&](WholeReader& reader) { return work(reader); });
  }
  Result<void> read_whole(const std::function<Result<void>(WholeReader&)>& work) override {
    return readers_.read(work);
  }
  void before_commit(std::function<Result<void>(Transaction&)> hook) override {
    writer_.before_commit(std::move(hook));
  }
  uint64_t commit_count() const override { return writer_.commit_count(); }
  bool is_shared() const override { return false; }
  void on_foreign_commit(std::function<void()>) override {}
  void start_finished() override {}
  void idle() override { writer_.idle(); }

 private:
  std::unique_ptr<StateDisk> directory_;
  Layout layout_;
  SqliteWriter writer_;
  SqliteReaders readers_;
};

// In a process of its own, beside the server: it holds no lock on the directory, and cannot write.
class SqliteSnapshot final : public SnapshotStore {
 public:
  SqliteSnapshot(const std::string& path, Layout layout)
      : layout_(std::move(layout)), readers_(path, nullptr, layout_) {}
  Result<void> write(const std::function<Result<void>(Transaction&)>&) override {
    return internal_error("a write to a store that was opened for reading");
  }
  Result<void> read(const std::function<Result<void>(Reader&)>& work) override {
    return readers_.read([&](WholeReader& reader) { return work(reader); });
  }
  Result<void> read_whole(const std::function<Result<void>(WholeReader&)>& work) override {
    return readers_.read(work);
  }
  void before_commit(std::function<Result<void>(Transaction&)>) override {}
  uint64_t commit_count() const override { return 0; }

 private:
  Layout layout_;
  SqliteReaders readers_;
};

Result<std::unique_ptr<Connection>> open_writer(const StateDisk& disk, const Layout& layout,
                                                const Schema& schema) {
  const std::string path = disk.database_path();
  auto connection = TRY(Connection::open(path, Connection::Access::read_write, disk.vfs()));
  TRY(prepare_database(*connection, layout, schema, path));
  return connection;
}

}  // namespace

Result<std::unique_ptr<EmbeddedStore>> open_embedded_store(std::unique_ptr<StateDisk> disk, WriterMode mode,
                                                           const Schema& schema) {
  Layout layout = layout_of(schema);
  auto connection = open_writer(*disk, layout, schema);
  if (!connection && connection.error().code == "StorageFull" && disk->release_reserve()) {
    connection = open_writer(*disk, layout, schema);  // a server that cannot start revokes nothing
  }
  if (!connection) return std::unexpected(connection.error());
  return std::make_unique<SqliteStore>(std::move(disk), std::move(mode), std::move(layout),
                                       std::move(*connection));
}

Result<std::unique_ptr<ServerStore>> open_sqlite_store(const std::string& directory, const Schema& schema) {
  return TRY(open_embedded_store(TRY(StateDirectory::open(directory)), {}, schema));
}

Result<std::unique_ptr<Store>> open_sqlite(const std::string& directory, const Schema& schema) {
  return TRY(open_sqlite_store(directory, schema));
}

Result<std::unique_ptr<SnapshotStore>> open_sqlite_snapshot(const std::string& directory,
                                                            const Schema& schema) {
  Layout layout = layout_of(schema);
  const std::string path = directory + "/merlon.db";
  if (::access(path.c_str(), F_OK) != 0)
    return fail(ErrorKind::not_found, "StateNotFound",
                "There is no Merlon state in " + directory + ". Give the server's --state directory.");
  const auto connection = TRY(Connection::open(path, Connection::Access::read_only));
  TRY(expect_database(*connection, layout, schema, path));
  return std::make_unique<SqliteSnapshot>(path, std::move(layout));
}

}  // namespace merlon::store
