// The pool's bounds and its ending, and the periodic thread.
#include "net/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>

namespace merlon::net {
namespace {

TEST(WorkerPool, RefusesBeyondItsQueueAndFinishesWhatItTook) {
  std::promise<void> gate;
  const std::shared_future<void> open = gate.get_future().share();
  std::atomic<bool> running = false;
  std::atomic<int> done = 0;
  WorkerPool pool("test", 1, 2);
  ASSERT_TRUE(pool.submit([&, open] {
    running = true;
    open.wait();
    ++done;
  }));
  while (!running) std::this_thread::yield();
  EXPECT_TRUE(pool.submit([&] { ++done; }));
  EXPECT_TRUE(pool.submit([&] { ++done; }));
  EXPECT_FALSE(pool.submit([&] { ++done; }));
  gate.set_value();
  pool.stop();
  EXPECT_EQ(done, 3);
  EXPECT_FALSE(pool.submit([] {}));
  pool.stop();
}

TEST(WorkerPool, OutlivesWorkThatThrows) {
  std::atomic<int> done = 0;
  {
    WorkerPool pool("test", 2, 100);
    for (int i = 0; i < 20; ++i) {
      pool.submit([&done, i] {
        if (i % 2 == 0) throw std::runtime_error("thrown by a test");
        ++done;
      });
    }
  }
  EXPECT_EQ(done, 10);
}

TEST(WorkerPool, RunsOnSeveralThreadsAtOnce) {
  WorkerPool pool("test", 2, 10);
  std::promise<void> first;
  std::promise<void> second;
  ASSERT_TRUE(pool.submit([&] {
    first.set_value();
    second.get_future().wait();
  }));
  ASSERT_TRUE(pool.submit([&] {
    first.get_future().wait();
    second.set_value();
  }));
  pool.stop();
}

TEST(Periodic, CallsByPeriodAndAtOnceWhenWoken) {
  std::atomic<int> often = 0;
  {
    Periodic periodic("test", 5, [&] { ++often; });
    while (often < 3) std::this_thread::yield();
  }
  const int calls = often;
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(often, calls) << "nothing runs after the end";
  std::atomic<int> seldom = 0;
  Periodic periodic("test", 3'600'000, [&] {
    if (++seldom == 1) throw std::runtime_error("thrown by a test");
  });
  EXPECT_EQ(seldom, 0);
  periodic.wake();
  while (seldom < 1) std::this_thread::yield();
  periodic.wake();
  while (seldom < 2) std::this_thread::yield();
}

}  // namespace
}  // namespace merlon::net
