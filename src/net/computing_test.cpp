// What a handler gives to the threads that compute: where it runs, what it throws, and what finds no room.
#include "net/computing.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

namespace merlon::net {
namespace {

Response said(std::string body) {
  Response response;
  response.body = std::move(body);
  return response;
}

TEST(Computing, RunsElsewhereAndAnswers) {
  std::promise<Response> told;
  std::promise<std::thread::id> where;
  const LateAnswer answer = [&](const MakeAnswer& make) { told.set_value(make()); };
  Computing computing(4);
  ASSERT_TRUE(computing.submit(answer, [&] {
    where.set_value(std::this_thread::get_id());
    answer([] { return said("computed"); });
  }));
  EXPECT_EQ(told.get_future().get().body, "computed");
  EXPECT_NE(where.get_future().get(), std::this_thread::get_id());
}

// As with a handler: connection.cpp says what was thrown to the log, and that something was to whoever asked.
TEST(Computing, WhatIsThrownIsThrownAgainWhereAnswersAreMade) {
  std::promise<std::string> told;
  const LateAnswer answer = [&](const MakeAnswer& make) {
    try {
      told.set_value(make().body);
    } catch (const std::runtime_error& error) {
      told.set_value(std::string("thrown: ") + error.what());
    }
  };
  Computing computing(4);
  const Compute compute = computing.compute();
  ASSERT_TRUE(compute(answer, [] { throw std::runtime_error("a fault"); }));
  EXPECT_EQ(told.get_future().get(), "thrown: a fault");
}

TEST(Computing, WhatFindsNoRoomIsNotDoneAndWhatWasTakenIs) {
  std::atomic<int> done = 0;
  std::promise<void> begun;
  std::promise<void> let_go;
  {
    Computing computing(2, 1);
    const LateAnswer nobody = [](const MakeAnswer&) {};
    ASSERT_TRUE(computing.submit(nobody, [&] {
      begun.set_value();
      let_go.get_future().wait();
      ++done;
    }));
    begun.get_future().wait();
    const auto count = [&done] { ++done; };
    EXPECT_TRUE(computing.submit(nobody, count));
    EXPECT_TRUE(computing.submit(nobody, count));
    EXPECT_FALSE(computing.submit(nobody, count));
    let_go.set_value();
  }
  EXPECT_EQ(done, 3);
}

}  // namespace
}  // namespace merlon::net
