// The embedded store: one writer, and readers that each have a connection of their own while they read.
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "store/server_store.h"
#include "store/sqlite_connection.h"
#include "store/sqlite_readers.h"
#include "store/sqlite_schema.h"
#include "store/sqlite_writer.h"
#include "store/state_directory.h"
#include "store/write_queue.h"

namespace merlon::store {
namespace {

class SqliteStore final : public EmbeddedStore, public LaterWrites {
 public:
  SqliteStore(std::unique_ptr<StateDisk> directory, WriterMode mode, Layout layout,
              std::unique_ptr<Connection> connection)
      : directory_(std::move(directory)),
        layout_(std::move(layout)),
        readers_(directory_->database_path(), directory_->vfs(), layout_, &changes_),
        writer_(std::move(connection), layout_, *directory_, std::move(mode), changes_, readers_) {}
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore() override {
    readers_.close();
  }  // before the writer: SQLite tidies up at the last close, which is its job

  Result<void> write(const std::function<Result<void>(Transaction&)>& work) override {
    return writer_.write(work);
  }
  void write_later(std::function<Result<void>(Transaction&)> work, Told told) override {
    writer_.write_later(std::move(work), std::move(told));
  }
  Expected expect_write() override { return writer_.expect_write(); }
  Result<void> read(const std::function<Result<void>(Reader&)>& work) override {
    return readers_.read([&](WholeReader& reader) { return work(reader); });
  }
  Result<void> read_whole(const std::function<Result<void>(WholeReader&)>& work) override {
    return readers_.read(work);
  }
  void before_commit(BeforeCommit hook) override { writer_.before_commit(std::move(hook)); }
  uint64_t commit_count() const override { return writer_.commit_count(); }
  bool reads_at_once() const override { return true; }
  bool is_shared() const override { return false; }
  void on_foreign_commit(std::function<void()>) override {}
  void start_finished() override {}
  void idle() override { writer_.idle(); }

 private:
  std::unique_ptr<StateDisk> directory_;
  Layout layout_;
  TableChanges changes_;
  SqliteReaders readers_;  // before the writer, which tells it of each commit
  SqliteWriter writer_;
};

// In a process of its own, beside the server: it holds no lock on the directory, and cannot write.
class SqliteSnapshot final : public SnapshotStore {
 public:
  SqliteSnapshot(const std::string& path, Layout layout)
      : layout_(std::move(layout)), readers_(path, nullptr, layout_, nullptr) {}
  Result<void> write(const std::function<Result<void>(Transaction&)>&) override {
    return internal_error("a write to a store that was opened for reading");
  }
  Result<void> read(const std::function<Result<void>(Reader&)>& work) override {
    return readers_.read([&](WholeReader& reader) { return work(reader); });
  }
  Result<void> read_whole(const std::function<Result<void>(WholeReader&)>& work) override {
    return readers_.read(work);
  }
  void before_commit(BeforeCommit) override {}
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
