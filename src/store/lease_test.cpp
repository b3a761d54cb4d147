// Leases between servers whose clocks say different things.
#include "store/lease.h"

#include <gtest/gtest.h>

#include "store/server_store.h"
#include "store/sqlite_test_directory.h"

namespace merlon::store {
namespace {

using std::chrono::seconds;

class LeaseTest : public testing::Test {
 protected:
  LeaseTest() {
    auto opened = open_sqlite(directory_.path(), {.tables = {leases_table()}, .migrations = {}});
    EXPECT_TRUE(opened);
    store_ = std::move(*opened);
    b_clock_.step_wall(std::chrono::hours(-5));  // and nobody minds
    a_.emplace(*store_, a_clock_, "timers", "a");
    b_.emplace(*store_, b_clock_, "timers", "b");
  }
  void advance(Duration by) {
    a_clock_.advance(by);
    b_clock_.advance(by);
  }
  bool holds(Lease& lease) {
    const auto held = lease.hold();
    EXPECT_TRUE(held) << held.error().cause;
    return held && *held;
  }
  bool may_write(Lease& lease) {
    return store_->write([&](Transaction& tx) { return lease.check(tx); }).has_value();
  }

  TestDirectory directory_;
  std::unique_ptr<Store> store_;
  ManualClock a_clock_, b_clock_;
  std::optional<Lease> a_, b_;
};

TEST_F(LeaseTest, OneHoldsItWhileItRenews) {
  EXPECT_TRUE(holds(*a_));
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(holds(*b_)) << i;
    advance(seconds(1));
    EXPECT_TRUE(holds(*a_)) << i;
    EXPECT_TRUE(may_write(*a_));
    EXPECT_FALSE(may_write(*b_));
  }
}

TEST_F(LeaseTest, WhoStopsIsReplacedAndFencedOff) {
  EXPECT_TRUE(holds(*a_));
  EXPECT_FALSE(holds(*b_));
  advance(Lease::kLifetime - seconds(1));
  EXPECT_FALSE(holds(*b_)) << "too early";
  advance(seconds(1));
  EXPECT_TRUE(holds(*b_));
  EXPECT_FALSE(may_write(*a_)) << "it wakes up late and still believes";
  EXPECT_TRUE(may_write(*b_));
  EXPECT_FALSE(holds(*a_));
  advance(Lease::kLifetime);
  EXPECT_TRUE(holds(*a_));
  EXPECT_FALSE(may_write(*b_)) << "the epoch before last is as lost as the last";
}

TEST_F(LeaseTest, ANewProcessUnderTheSameNameIsAnotherHolder) {
  EXPECT_TRUE(holds(*a_));
  Lease again(*store_, a_clock_, "timers", "a");
  EXPECT_FALSE(may_write(again)) << "its epoch is not that of the one before";
}

TEST_F(LeaseTest, ReleasedItIsFreeAtOnce) {
  EXPECT_TRUE(holds(*a_));
  EXPECT_FALSE(holds(*b_));
  ASSERT_TRUE(a_->release());
  EXPECT_FALSE(may_write(*a_));
  EXPECT_TRUE(holds(*b_));
}

TEST_F(LeaseTest, AQuietHolderWritesNothingBetweenRenewals) {
  EXPECT_TRUE(holds(*a_));
  const uint64_t commits = store_->commit_count();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(holds(*a_));
  EXPECT_EQ(store_->commit_count(), commits);
}

}  // namespace
}  // namespace merlon::store
