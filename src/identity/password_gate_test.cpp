// How many may stand before the gate: each of them has a worker, and strangers decide how many come.
#include "identity/password_gate.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace merlon::identity {
namespace {

TEST(PasswordGate, OfManyWhoAskSomeWaitAndTheRestAreSentAwayAtOnce) {
  constexpr int kInside = 4;
  constexpr int kWaiting = 8;
  constexpr int kTooMany = 5;
  PasswordGate gate;
  std::promise<void> leave;
  const std::shared_future<void> may_leave = leave.get_future().share();
  std::mutex mutex;
  std::condition_variable changed;
  int inside = 0;
  int checked = 0;
  int sent_away = 0;
  const auto ask = [&](bool stays) {
    const auto equal = gate.verify(Secret(std::string_view("a guess")), {}, [&]() -> Result<void> {
      if (!stays)
        return fail(ErrorKind::invalid, "Admitted", "It was let in, which is all that is asked here.");
      std::unique_lock lock(mutex);
      ++inside;
      changed.notify_all();
      lock.unlock();
      may_leave.wait();
      return fail(ErrorKind::invalid, "Admitted", "It was let in.");
    });
    const std::lock_guard lock(mutex);
    ++(!equal && equal.error().code == "Admitted" ? checked : sent_away);
    changed.notify_all();
  };
  std::vector<std::thread> all;
  for (int i = 0; i < kInside; ++i) all.emplace_back(ask, true);
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return inside == kInside; });
  }
  for (int i = 0; i < kWaiting + kTooMany; ++i) all.emplace_back(ask, false);
  {
    // Nobody has left: who is answered now was sent away, and the others wait.
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return sent_away >= kTooMany; });
  }
  leave.set_value();
  for (std::thread& one : all) one.join();
  EXPECT_EQ(sent_away, kTooMany);
  EXPECT_EQ(checked, kInside + kWaiting);
}

}  // namespace
}  // namespace merlon::identity
