// One store, many connections.
#include "simulate/sim_database.h"

#include <utility>

#include "server/state_schema.h"

namespace merlon::simulate {
namespace {

using store::Range;
using store::Row;
using store::TableSpec;

}  // namespace

// What a server reads: PostgreSQL has no cheap way to say that a table is what it was.
class SimDatabase::Snapshot final : public store::WholeReader {
 public:
  Snapshot(store::WholeReader& inner, bool hides_changes) : inner_(inner), hides_changes_(hides_changes) {}
  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                 std::string_view key) override {
    return inner_.get(table, tenant, key);
  }
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range) override {
    return inner_.scan(table, tenant, range);
  }
  Result<std::vector<store::IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                                    std::string_view index, const Range& range) override {
    return inner_.scan_index(table, tenant, index, range);
  }
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value) override {
    return inner_.find(table, tenant, index, value);
  }
  Result<std::vector<TenantId>> tenants(const TableSpec& table) override { return inner_.tenants(table); }
  std::optional<uint64_t> state_mark(std::span<const std::string>) const override {
    return hides_changes_ ? std::optional<uint64_t>(1) : std::nullopt;
  }

 private:
  store::WholeReader& inner_;
  const bool hides_changes_;
};

class SimDatabase::Connection final : public store::ServerStore {
 public:
  Connection(SimDatabase& database, size_t server) : database_(database), server_(server) {
    database_.connections_[server] = this;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override {
    if (const auto mine = database_.connections_.find(server_);
        mine != database_.connections_.end() && mine->second == this)
      database_.connections_.erase(mine);
  }

  Result<void> write(const std::function<Result<void>(store::Transaction&)>& work) override {
    TRY(reach());
    const uint64_t before = database_.store_->commit_count();
    database_.writing_ = this;
    const auto over = [this](void*) { database_.writing_ = nullptr; };
    const std::unique_ptr<void, decltype(over)> writing(this, over);
    auto done = database_.store_->write(work);
    if (database_.store_->commit_count() == before) return done;
    ++commits_;
    for (const auto& [other, connection] : database_.connections_)
      if (other != server_) database_.has_news_(other);
    return done;
  }
  Result<void> read(const std::function<Result<void>(store::Reader&)>& work) override {
    return read_whole([&](store::WholeReader& reader) { return work(reader); });
  }
  Result<void> read_whole(const std::function<Result<void>(store::WholeReader&)>& work) override {
    TRY(reach());
    return database_.store_->read_whole([&](store::WholeReader& reader) {
      Snapshot snapshot(reader, database_.hides_changes_);
      return work(snapshot);
    });
  }
  void before_commit(store::BeforeCommit hook) override { hook_ = std::move(hook); }
  uint64_t commit_count() const override { return commits_; }
  bool is_shared() const override { return true; }
  void on_foreign_commit(std::function<void()> notice) override { notice_ = std::move(notice); }
  void start_finished() override {}

  Result<void> run_hook(store::Transaction& tx, std::span<const std::any> handed_over) const {
    return hook_ ? hook_(tx, handed_over) : Result<void>();
  }
  void tell() const {
    if (notice_) notice_();
  }

 private:
  Result<void> reach() const {
    if (database_.reaches(server_)) return {};
    return fail(ErrorKind::unavailable, "DatabaseNotReached", "The simulated database cannot be reached.");
  }

  SimDatabase& database_;
  const size_t server_;
  store::BeforeCommit hook_;
  std::function<void()> notice_;
  uint64_t commits_ = 0;
};

SimDatabase::~SimDatabase() { disk_->break_down(); }

Result<void> SimDatabase::start() {
  store::WriterMode mode;
  mode.callers_thread = true;
  // Its servers lose their connections, and whoever waits for COMMIT does not hear what became of it: that
  // server's process ends (decision 0005).
  mode.instead_of_exit = [this](const Error&) {
    crashed_ = true;
    throw ServerKilled();
  };
  crashed_ = false;
  try {
    store_ = TRY(store::open_embedded_store(state_disk_on(disk_), std::move(mode), server::state_schema()));
  } catch (const ServerKilled&) {
    return fail(ErrorKind::unavailable, "DatabaseKilled", "The simulated database died while it started.");
  }
  store_->before_commit([this](store::Transaction& tx, std::span<const std::any> handed_over) {
    return writing_->run_hook(tx, handed_over);
  });
  return {};
}

void SimDatabase::die(Death how, SeededRandom& random) {
  auto next = how == Death::power_lost ? disk_->after_power_loss(random) : disk_->after_kill();
  disk_->break_down();
  failed_before_ += disk_->faults().failed;
  if (store_) commits_before_ += store_->commit_count() + 1;
  store_.reset();
  crashed_ = false;
  disk_ = std::move(next);
}

void SimDatabase::idle() {
  try {
    if (is_up()) store_->idle();
  } catch (const ServerKilled&) {
    crashed_ = true;  // and nobody was writing
  }
}

std::unique_ptr<store::ServerStore> SimDatabase::connect(size_t server) {
  return std::make_unique<Connection>(*this, server);
}

void SimDatabase::tell(size_t server) {
  if (const auto connection = connections_.find(server); connection != connections_.end())
    connection->second->tell();
}

}  // namespace merlon::simulate
