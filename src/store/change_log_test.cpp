// The change log over the embedded store.
#include "store/change_log.h"

#include <gmock/gmock.h>

#include <random>

#include "store/sqlite_test_directory.h"

namespace merlon::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Found = std::optional<std::vector<std::string>>;

class SeededRandom final : public Random {
 public:
  void fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
  }

 private:
  std::mt19937 engine_;
};

class ChangeLogTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_sqlite(directory_.path(), {.tables = {log_.table()}, .migrations = {}});
    ASSERT_TRUE(opened);
    store_ = *std::move(opened);
  }
  Result<void> note(std::vector<std::string> what, bool then_fail = false) {
    return store_->write([&](Transaction& tx) -> Result<void> {
      TRY(log_.note(tx, tenant_, random_, what));
      if (then_fail) return fail(ErrorKind::invalid, "Asked", "The test asked for it.");
      return {};
    });
  }
  std::string mark() {
    return *read_value<std::string>(*store_, [&](Reader& reader) { return log_.mark(reader, tenant_); });
  }
  Found since(const std::string& old) {
    auto found = read_value<Found>(*store_, [&](Reader& reader) { return log_.since(reader, tenant_, old); });
    EXPECT_TRUE(found) << found.error().cause;
    return *found;
  }

  TestDirectory directory_;
  ChangeLog log_{"changes", 4};
  TenantId tenant_ = contract_tenant(1);
  SeededRandom random_;
  std::unique_ptr<Store> store_;
};

TEST_F(ChangeLogTest, SaysWhatChangedSince) {
  EXPECT_EQ(mark(), "");
  ASSERT_TRUE(note({"a"}));
  const std::string first = mark();
  EXPECT_THAT(*since(first), IsEmpty());
  ASSERT_TRUE(note({"b", "c"}));
  ASSERT_TRUE(note({}));
  ASSERT_TRUE(note({"d"}));
  EXPECT_THAT(*since(first), ElementsAre("b", "c", "d"));
  EXPECT_TRUE(ChangeLog::is_before(first, mark()));
  EXPECT_FALSE(ChangeLog::is_before(mark(), first));
}

TEST_F(ChangeLogTest, WhatWasRolledBackWasNever) {
  ASSERT_TRUE(note({"a"}));
  const std::string first = mark();
  std::string inside;
  EXPECT_FALSE(store_->write([&](Transaction& tx) -> Result<void> {
    TRY(log_.note(tx, tenant_, random_, {"lost"}));
    inside = TRY(log_.mark(tx, tenant_));
    return fail(ErrorKind::invalid, "Asked", "The test asked for it.");
  }));
  EXPECT_EQ(mark(), first);
  ASSERT_TRUE(note({"b"}));
  EXPECT_NE(mark(), inside);  // the same number, another history
  EXPECT_FALSE(since(inside));
}

TEST_F(ChangeLogTest, ReachesBackAsFarAsItKeeps) {
  ASSERT_TRUE(note({"0"}));
  const std::string first = mark();
  std::string last = first;
  for (const char* what : {"1", "2", "3"}) ASSERT_TRUE(note({what}));
  EXPECT_THAT(*since(first), ElementsAre("1", "2", "3"));
  ASSERT_TRUE(note({"4"}));
  EXPECT_FALSE(since(first));
  EXPECT_FALSE(since(""));
  EXPECT_FALSE(since("nonsense"));
  EXPECT_FALSE(since("\"99999999999999999999-x\""));
}

}  // namespace
}  // namespace merlon::store
