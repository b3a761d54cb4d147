// See sqlite_readers.h.
#include "store/sqlite_readers.h"

#include <utility>

#include "store/sqlite_rows.h"
#include "store/write_queue.h"

namespace merlon::store {
namespace {

constexpr size_t kWaitingMax = 16;

class SqliteWholeReader final : public WholeReader {
 public:
  SqliteWholeReader(Connection& connection, const Layout& layout, uint32_t commit,
                    const TableChanges* changes)
      : rows_(connection, layout), commit_(commit), changes_(changes) {}
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
  std::optional<uint64_t> state_mark(std::span<const std::string> tables) const override {
    return changes_ == nullptr ? std::nullopt : changes_->mark(commit_, tables);
  }

 private:
  RowAccess rows_;
  const uint32_t commit_;
  const TableChanges* changes_;
};

}  // namespace

Result<uint32_t> commit_number(Connection& connection) {
  auto query = TRY(connection.query("PRAGMA user_version"));
  if (!TRY(query.step())) return internal_error("SQLite told no user_version");
  return static_cast<uint32_t>(query.number(0));
}

void SqliteReaders::end_old() {
  const std::lock_guard lock(mutex_);
  end_waiting();
}

void SqliteReaders::hold_none(bool none) {
  const std::lock_guard lock(mutex_);
  hold_none_ = none;
  if (none) end_waiting();
}

void SqliteReaders::close() {
  const std::lock_guard lock(mutex_);
  waiting_.clear();
}

void SqliteReaders::end_waiting() {
  // A connection that cannot end its snapshot is closed instead of kept.
  std::erase_if(waiting_, [](Snapshot& snapshot) {
    return std::exchange(snapshot.open, false) && !snapshot.connection->run("COMMIT");
  });
}

Result<SqliteReaders::Snapshot> SqliteReaders::take() {
  Snapshot snapshot;
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_.empty()) {
      snapshot = std::move(waiting_.back());
      waiting_.pop_back();
    }
  }
  if (snapshot.open) return snapshot;
  if (!snapshot.connection)
    snapshot.connection = TRY(Connection::open(path_, Connection::Access::read_only, vfs_));
  TRY(snapshot.connection->run("BEGIN"));
  // BEGIN alone takes no snapshot; the first value read does. It is taken now, so that the caller knows of
  // when it is.
  snapshot.number = TRY(commit_number(*snapshot.connection));
  snapshot.open = true;
  return snapshot;
}

void SqliteReaders::keep(Snapshot snapshot) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kWaitingMax) return;
    // Under the mutex: end_old() comes after the commit has been told, and so after this or before it.
    if (changes_ != nullptr && !hold_none_ && snapshot.number == changes_->newest()) {
      waiting_.push_back(std::move(snapshot));
      return;
    }
  }
  if (!snapshot.connection->run("COMMIT")) return;
  snapshot.open = false;
  const std::lock_guard lock(mutex_);
  if (waiting_.size() < kWaitingMax) waiting_.insert(waiting_.begin(), std::move(snapshot));
}

Result<void> SqliteReaders::read(const std::function<Result<void>(WholeReader&)>& work) {
  Snapshot snapshot = TRY(take());
  SqliteWholeReader reader(*snapshot.connection, layout_, snapshot.number, changes_);
  auto result = run_guarded([&](Reader&) { return work(reader); }, reader);
  // An error of SQLite's own may have ended the snapshot.
  if (snapshot.connection->in_transaction()) keep(std::move(snapshot));
  return result;
}

}  // namespace merlon::store
