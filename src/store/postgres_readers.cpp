// Reading from PostgreSQL.
#include "store/postgres_readers.h"

#include <chrono>
#include <utility>

#include "store/postgres_rows.h"
#include "store/write_queue.h"

namespace merlon::store {
namespace {

// Two reads may stand inside one another, and a server has fewer workers than half of this.
constexpr size_t kConnectionsMax = 40;
constexpr size_t kIdleMax = 16;
constexpr auto kPatience = std::chrono::seconds(10);

class PostgresWholeReader final : public WholeReader {
 public:
  PostgresWholeReader(PostgresConnection& connection, const Layout& layout) : rows_(connection, layout) {}
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
  Result<std::vector<TenantId>> tenants(const TableSpec& table) override {
    std::vector<TenantId> tenants;
    for (const std::string& text : TRY(rows_.tenants(table))) {
      const auto id = Uuid::parse(text);
      if (!id) return internal_error("table " + table.name + " has rows of a tenant that is no UUID");
      tenants.push_back({*id});
    }
    return tenants;
  }

 private:
  PostgresRows rows_;
};

}  // namespace

Result<std::unique_ptr<PostgresConnection>> PostgresReaders::take() {
  std::unique_lock lock(mutex_);
  if (!returned_.wait_for(lock, kPatience, [this] { return in_use_ < kConnectionsMax; }))
    return fail(ErrorKind::unavailable, "StorageBusy",
                "The database is busy: every connection to it has been in use for a while. Try again.");
  ++in_use_;
  if (idle_.empty()) return nullptr;
  auto connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void PostgresReaders::give_back(std::unique_ptr<PostgresConnection> connection) {
  {
    const std::lock_guard lock(mutex_);
    --in_use_;
    if (connection && idle_.size() < kIdleMax) idle_.push_back(std::move(connection));
  }
  returned_.notify_one();
}

// BEGIN alone takes no snapshot; the SELECT does. An idle connection that has died meanwhile (the database
// was restarted) is replaced once.
Result<std::unique_ptr<PostgresConnection>> PostgresReaders::take_with_snapshot() {
  auto connection = TRY(take());
  const std::string begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";
  if (connection && connection->execute(begin)) return connection;
  auto fresh = PostgresConnection::open(address_);
  auto begun = fresh ? (*fresh)->execute(begin) : Result<Answer>(std::unexpected(fresh.error()));
  if (begun) return std::move(*fresh);
  give_back(nullptr);
  return std::unexpected(begun.error());
}

Result<void> PostgresReaders::read(const std::function<Result<void>(WholeReader&)>& work) {
  auto connection = TRY(take_with_snapshot());
  PostgresWholeReader reader(*connection, layout_);
  auto result = run_guarded([&](Reader&) { return work(reader); }, reader);
  // A connection that cannot end its snapshot is closed instead of kept.
  if (!connection->execute("COMMIT")) connection.reset();
  give_back(std::move(connection));
  return result;
}

}  // namespace merlon::store
