// Budgets of machines, on a clock in the test's hand.
#include "machine/report_budget.h"

#include <gtest/gtest.h>

namespace merlon::machine {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(Budget, FillsWithTimeAndIsEachMachinesOwn) {
  ManualClock clock;
  Budget budget(clock, {.at_once = 10, .per_minute = 6});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(budget.take("web", 1));
  EXPECT_FALSE(budget.take("web", 1));
  EXPECT_TRUE(budget.take("db", 1)) << "what one spends no other misses";
  clock.advance(seconds(9));
  EXPECT_FALSE(budget.take("web", 1));
  clock.advance(seconds(2));
  EXPECT_TRUE(budget.take("web", 1));
  EXPECT_FALSE(budget.take("web", 1));
  clock.advance(minutes(1000));
  EXPECT_TRUE(budget.take("web", 10));
  EXPECT_FALSE(budget.take("web", 1)) << "never more than at once";
  budget.give_back("web", 3);
  EXPECT_TRUE(budget.take("web", 3));
}

// An honest report is as long as it is: what would never pass would be said for ever.
TEST(Budget, WhatIsMoreThanAllPassesWhenAllIsThereAndIsPaidOff) {
  ManualClock clock;
  Budget budget(clock, {.at_once = 10, .per_minute = 10});
  EXPECT_TRUE(budget.take("web", 1));
  EXPECT_FALSE(budget.take("web", 100));
  clock.advance(seconds(7));
  EXPECT_TRUE(budget.take("web", 100));
  clock.advance(minutes(9));
  EXPECT_FALSE(budget.take("web", 1));
  clock.advance(seconds(7));
  EXPECT_TRUE(budget.take("web", 1));
}

TEST(Budget, ForgetsMachinesThatHaveSaidNothingForLong) {
  ManualClock clock;
  Budget budget(clock, {.at_once = 2, .per_minute = 1});
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_TRUE(budget.take(std::to_string(i), 2));
    clock.advance(seconds(1));
  }
  EXPECT_FALSE(budget.take("9999", 1)) << "those that are not full are remembered";
}

}  // namespace
}  // namespace merlon::machine
