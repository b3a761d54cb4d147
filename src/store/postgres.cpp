// PostgreSQL as the store of any number of servers: one writer each, readers, and an eye on what the others
// commit.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/log.h"
#include "store/postgres_connection.h"
#include "store/postgres_readers.h"
#include "store/postgres_schema.h"
#include "store/postgres_writer.h"
#include "store/server_store.h"

namespace merlon::store {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(250);

// Looks at the commit counter a few times a second; a notification makes it look at once. Notifications alone
// would not do: one that is sent while the connection is down is lost.
class Watcher {
 public:
  Watcher(PostgresAddress address, OwnCommits& own) : address_(std::move(address)), own_(own) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher() { watch({}); }

  // Stops whoever was told before; then, unless it is empty, tells `notice`.
  void watch(std::function<void()> notice) {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    stopping_ = false;
    notice_ = std::move(notice);
    if (notice_) thread_ = std::thread([this] { run(); });
  }

 private:
  void run() {
    while (!stopping_) {
      const auto looked = look();
      if (!looked) {
        if (connection_) log_error("other servers' commits cannot be seen; trying again", looked.error());
        connection_.reset();
        std::this_thread::sleep_for(kLookEvery);
      } else if (!connection_->wait_readable(kLookEvery)) {
        connection_.reset();
      } else {
        connection_->take_notifications();
      }
    }
  }

  Result<void> look() {
    if (!connection_) {
      connection_ = TRY(PostgresConnection::open(address_));
      TRY(connection_->execute("LISTEN merlon_commits"));
    }
    const Answer counted = TRY(connection_->run("SELECT commits FROM merlon_writer"));
    if (counted.rows() != 1) return internal_error("merlon_writer has lost its row");
    const int64_t now = counted.number(0, 0);
    // At the first look nobody knows what was there before.
    const bool notice = !seen_ || own_.others_in(*seen_, now);
    seen_ = now;
    if (notice) notice_();
    return {};
  }

  PostgresAddress address_;
  OwnCommits& own_;
  std::function<void()> notice_;
  std::unique_ptr<PostgresConnection> connection_;
  std::optional<int64_t> seen_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

class PostgresStore final : public ServerStore {
 public:
  PostgresStore(const PostgresAddress& address, Layout layout, size_t migrations,
                std::unique_ptr<PostgresConnection> starting)
      : layout_(std::move(layout)),
        starting_(std::move(starting)),
        readers_(address, layout_),
        writer_(address, layout_, migrations),
        watcher_(address, writer_.own_commits()) {}

  Result<void> write(const std::function<Result<void>(Transaction&)>& work) override {
    return writer_.write(work);
  }
  Result<void> read(const std::function<Result<void>(Reader&)>& work) override {
    return readers_.read([&](WholeReader& reader) { return work(reader); });
  }
  Result<void> read_whole(const std::function<Result<void>(WholeReader&)>& work) override {
    return readers_.read(work);
  }
  void before_commit(BeforeCommit hook) override { writer_.before_commit(std::move(hook)); }
  uint64_t commit_count() const override { return writer_.commit_count(); }
  bool is_shared() const override { return true; }
  void on_foreign_commit(std::function<void()> notice) override { watcher_.watch(std::move(notice)); }
  void start_finished() override { starting_.reset(); }

 private:
  Layout layout_;
  std::unique_ptr<PostgresConnection> starting_;
  PostgresReaders readers_;
  PostgresWriter writer_;
  Watcher watcher_;
};

class PostgresSnapshot final : public SnapshotStore {
 public:
  PostgresSnapshot(const PostgresAddress& address, Layout layout)
      : layout_(std::move(layout)), readers_(address, layout_) {}
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
  PostgresReaders readers_;
};

void warn_about(const PostgresAddress& address, PostgresConnection& connection) {
  if (!address.weak_tls().empty())
    log(LogLevel::warning,
        "the connection to the database does not verify whose certificate it meets; use sslmode=verify-full",
        {{"database", address.shown()}, {"sslmode", address.weak_tls()}});
  const auto durable = connection.execute("SHOW fsync");
  if (durable && durable->rows() == 1 && durable->text(0, 0) == "off")
    log(LogLevel::warning, "the database runs with fsync=off: a power cut can take acknowledged writes away",
        {{"database", address.shown()}});
}

}  // namespace

Result<std::unique_ptr<ServerStore>> open_postgres(const std::string& url, const Schema& schema) {
  Layout layout = layout_of(schema);
  const PostgresAddress address = TRY(PostgresAddress::parse(url));
  auto connection = TRY(PostgresConnection::open(address));
  warn_about(address, *connection);
  TRY(take_start_lock(*connection));
  TRY(prepare_postgres(*connection, layout, schema, address.shown()));
  return std::make_unique<PostgresStore>(address, std::move(layout), schema.migrations.size(),
                                         std::move(connection));
}

Result<std::unique_ptr<SnapshotStore>> open_postgres_snapshot(const std::string& url, const Schema& schema) {
  Layout layout = layout_of(schema);
  const PostgresAddress address = TRY(PostgresAddress::parse(url));
  const auto connection = TRY(PostgresConnection::open(address));
  TRY(expect_postgres(*connection, layout, schema, address.shown()));
  return std::make_unique<PostgresSnapshot>(address, std::move(layout));
}

}  // namespace merlon::store
