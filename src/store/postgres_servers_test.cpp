// Several servers on one PostgreSQL: their groups follow one another, whatever they do at the same time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "store/postgres_test_server.h"
#include "store/server_store.h"

namespace merlon::store {
namespace {

class PostgresServers : public testing::Test {
 protected:
  std::unique_ptr<ServerStore> open() {
    auto store = open_postgres(address_, contract_schema());
    EXPECT_TRUE(store) << store.error().message << store.error().cause;
    (*store)->start_finished();
    return std::move(*store);
  }
  static Result<int> counter(Reader& reader) {
    const auto row = TRY(reader.get(contract_notes(), contract_tenant(1), "counter"));
    return row ? std::stoi(row->body) : 0;
  }
  static Result<void> count_up(Transaction& tx) {
    const int value = TRY(counter(tx));
    return tx.put(contract_notes(), contract_tenant(1), {"counter", std::to_string(value + 1), {}});
  }

  std::string address_ = PostgresTestServer::instance().make_database();
};

TEST_F(PostgresServers, ReadThenWriteIsNeverLostBetweenThem) {
  const auto a = open();
  const auto b = open();
  constexpr int kEach = 60;
  std::vector<std::thread> threads;
  for (ServerStore* store : {a.get(), b.get()})
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([store] {
        for (int i = 0; i < kEach; ++i) EXPECT_TRUE(store->write(count_up));
      });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(*read_value<int>(*a, counter), 4 * kEach);
  EXPECT_EQ(*read_value<int>(*b, counter), 4 * kEach);
}

// The hook is what the ledger sequences with: one server holds its transaction open across another's run.
TEST_F(PostgresServers, AHookOfOneServerSeesAllThatTheOtherCommittedBeforeIt) {
  const auto a = open();
  const auto b = open();
  for (ServerStore* store : {a.get(), b.get()})
    store->before_commit([](Transaction& tx, std::span<const std::any>) { return count_up(tx); });
  std::promise<void> inside;
  std::promise<void> go_on;
  std::thread holder([&] {
    EXPECT_TRUE(a->write([&](Transaction& tx) -> Result<void> {
      TRY(tx.put(contract_notes(), contract_tenant(1), {"held", "1", {}}));
      inside.set_value();
      go_on.get_future().wait();
      return {};
    }));
  });
  inside.get_future().wait();
  std::atomic<bool> done = false;
  std::thread other([&] {
    EXPECT_TRUE(b->write([&](Transaction& tx) -> Result<void> {
      EXPECT_TRUE(TRY(tx.get(contract_notes(), contract_tenant(1), "held")))
          << "the other's commit came first";
      return tx.put(contract_notes(), contract_tenant(1), {"other", "1", {}});
    }));
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_FALSE(done) << "two writers at once";
  EXPECT_EQ(*read_value<int>(*b, counter), 0) << "reads do not wait";
  go_on.set_value();
  holder.join();
  other.join();
  EXPECT_EQ(*read_value<int>(*a, counter), 2);
}

TEST_F(PostgresServers, EachHearsOfTheOthersCommitsSoonAndNotOfItsOwn) {
  const auto a = open();
  const auto b = open();
  std::atomic<int> heard = 0;
  b->on_foreign_commit([&] { heard.fetch_add(1); });
  const auto wait_for = [&](int count) {
    const auto start = std::chrono::steady_clock::now();
    while (heard < count && std::chrono::steady_clock::now() - start < std::chrono::seconds(10))
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return std::chrono::steady_clock::now() - start;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(700));  // its first look is over
  int before = heard;
  ASSERT_TRUE(a->write(count_up));
  EXPECT_LT(wait_for(before + 1), std::chrono::seconds(1));
  before = heard;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(b->write(count_up));
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  EXPECT_EQ(heard, before) << "its own commits are no news";
  // Without the connection that listens, the next look finds out.
  PostgresTestServer::sql(address_,
                          "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE "
                          "'%SELECT commits%' AND pid <> pg_backend_pid()");
  ASSERT_TRUE(a->write(count_up));
  wait_for(before + 1);
  EXPECT_GT(heard, before);
}

TEST_F(PostgresServers, AServerThatHangsInATransactionIsPassedAndWritesNothing) {
  const auto a = open();
  const auto b = open();
  std::promise<void> inside;
  Result<void> hung;
  std::thread holder([&] {
    hung = a->write([&](Transaction& tx) -> Result<void> {
      TRY(tx.put(contract_notes(), contract_tenant(1), {"hung", "1", {}}));
      inside.set_value();
      // What PostgreSQL does by itself after idle_in_transaction_session_timeout.
      PostgresTestServer::sql(address_,
                              "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state = "
                              "'idle in transaction'");
      return {};
    });
  });
  inside.get_future().wait();
  EXPECT_TRUE(b->write(count_up));
  holder.join();
  ASSERT_FALSE(hung) << "it lost its turn";
  EXPECT_EQ(hung.error().kind, ErrorKind::unavailable);
  EXPECT_FALSE(*read_value<std::optional<Row>>(
      *b, [](Reader& reader) { return reader.get(contract_notes(), contract_tenant(1), "hung"); }));
  EXPECT_TRUE(a->write(count_up));
}

TEST_F(PostgresServers, OnlyOneStartsAtATime) {
  auto first = open_postgres(address_, contract_schema());
  ASSERT_TRUE(first);
  std::atomic<bool> second_is_open = false;
  std::thread second([&] {
    const auto store = open_postgres(address_, contract_schema());
    EXPECT_TRUE(store) << store.error().message;
    second_is_open = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_FALSE(second_is_open);
  (*first)->start_finished();
  second.join();
  EXPECT_TRUE(second_is_open);
}

}  // namespace
}  // namespace merlon::store
