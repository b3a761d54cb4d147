// Whom the writer's thread waits for before it commits. The ends are an hour away: who waits for them never
// comes back.
#include "store/write_queue.h"

#include <gtest/gtest.h>

#include <future>
#include <utility>

namespace merlon::store {
namespace {

class WriteQueueTest : public ::testing::Test {
 protected:
  ~WriteQueueTest() override {
    while (WaitingWrite* write = queue_.take()) queue_.release({write});
  }
  void come() {
    queue_.write_later([](Transaction&) { return Result<void>(); }, [](const Result<void>&) {});
  }
  bool waits_for(size_t come, size_t enough) {
    return queue_.wait_for_expected(std::chrono::steady_clock::now() + std::chrono::hours(1), {come, enough});
  }
  WriteQueue queue_;
};

TEST_F(WriteQueueTest, NobodyIsWaitedForWhoHasNotSaidThatTheyAreComing) {
  EXPECT_FALSE(queue_.expects());
  const auto first = queue_.expect_write();
  EXPECT_TRUE(queue_.expects());
  EXPECT_FALSE(waits_for(1, 100)) << "as many have come as are expected";
  come();
  EXPECT_TRUE(waits_for(0, 100));
}

TEST_F(WriteQueueTest, ItIsWaitedUntilNoMoreAreExpectedThanHaveCome) {
  auto first = queue_.expect_write();
  auto second = queue_.expect_write();
  const auto third = queue_.expect_write();
  auto woken = std::async(std::launch::async, [&] { return waits_for(1, 100); });
  come();
  first.reset();
  EXPECT_TRUE(woken.get()) << "two are there, and two to come";
  // Who never writes after all is not waited for either.
  woken = std::async(std::launch::async, [&] { return waits_for(0, 100); });
  second.reset();
  EXPECT_TRUE(woken.get());
}

TEST_F(WriteQueueTest, AFullGroupAndAnEndAreNotWaitedWith) {
  std::vector<LaterWrites::Expected> expected;
  for (int i = 0; i < 10; ++i) expected.push_back(queue_.expect_write());
  auto woken = std::async(std::launch::async, [&] { return waits_for(1, 3); });
  come();
  come();
  EXPECT_TRUE(woken.get());
  woken = std::async(std::launch::async, [&] { return waits_for(0, 100); });
  queue_.stop();
  EXPECT_TRUE(woken.get());
}

}  // namespace
}  // namespace merlon::store
