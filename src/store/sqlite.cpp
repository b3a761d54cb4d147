// The embedded store: one writer, and readers that each have a connection of their own while they read.
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "store/sqlite_connection.h"
#include "store/sqlite_rows.h"
#include "store/sqlite_schema.h"
#include "store/sqlite_writer.h"
#include "store/state_directory.h"
#include "store/store.h"

namespace merlon::store {
namespace {

constexpr size_t kIdleReadersMax = 16;

Result<void> run_guarded(const std::function<Result<void>(Reader&)>& work, Reader& reader) {
  try {
    return work(reader);
  } catch (const std::exception& exception) {
    return internal_error(std::string("a read threw: ") + exception.what());
  } catch (...) {
    return internal_error("a read threw something that is no std::exception");
  }
}

class SqliteStore final : public Store {
 public:
  SqliteStore(std::unique_ptr<StateDirectory> directory, Layout layout,
              std::unique_ptr<Connection> connection)
      : directory_(std::move(directory)),
        layout_(std::move(layout)),
        writer_(std::move(connection), layout_, *directory_) {}
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore() override {
    idle_.clear();
  }  // before the writer: SQLite tidies up at the last close, which is its job

  Result<void> write(const std::function<Result<void>(Transaction&)>& work) override {
    return writer_.write(work);
  }
  Result<void> read(const std::function<Result<void>(Reader&)>& work) override;
  void before_commit(std::function<Result<void>(Transaction&)> hook) override {
    writer_.before_commit(std::move(hook));
  }
  uint64_t commit_count() const override { return writer_.commit_count(); }

 private:
  Result<std::unique_ptr<Connection>> take_reader();
  void keep_reader(std::unique_ptr<Connection> connection);

  std::unique_ptr<StateDirectory> directory_;
  Layout layout_;
  SqliteWriter writer_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

Result<std::unique_ptr<Connection>> SqliteStore::take_reader() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  return Connection::open(directory_->database_path(), Connection::Access::read_only);
}

void SqliteStore::keep_reader(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleReadersMax) idle_.push_back(std::move(connection));
}

Result<void> SqliteStore::read(const std::function<Result<void>(Reader&)>& work) {
  auto connection = TRY(take_reader());
  TRY(connection->run("BEGIN"));
  // BEGIN alone takes no snapshot; the first row read does. It is taken now, so that the caller knows of when
  // it is.
  {
    auto first = TRY(connection->query("SELECT 1 FROM merlon_meta LIMIT 1"));
    TRY(first.step());
  }
  SqliteReader reader(*connection, layout_);
  auto result = run_guarded(work, reader);
  // A connection that cannot end its snapshot is closed instead of kept.
  if (connection->run("COMMIT")) keep_reader(std::move(connection));
  return result;
}

Result<std::unique_ptr<Connection>> open_writer(const StateDirectory& directory, const Layout& layout,
                                                const Schema& schema) {
  const std::string path = directory.database_path();
  auto connection = TRY(Connection::open(path, Connection::Access::read_write));
  TRY(prepare_database(*connection, layout, schema, path));
  return connection;
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite(const std::string& directory, const Schema& schema) {
  Layout layout = layout_of(schema);
  auto state = TRY(StateDirectory::open(directory));
  auto connection = open_writer(*state, layout, schema);
  if (!connection && connection.error().code == "StorageFull" && state->release_reserve()) {
    connection = open_writer(*state, layout, schema);  // a server that cannot start revokes nothing
  }
  if (!connection) return std::unexpected(connection.error());
  return std::make_unique<SqliteStore>(std::move(state), std::move(layout), std::move(*connection));
}

}  // namespace merlon::store
