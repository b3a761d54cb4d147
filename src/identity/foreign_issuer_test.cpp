// How many foreign issuers are asked and waited for at once. What their answers are worth:
// federation_test.cpp.
#include "identity/foreign_issuer.h"

#include <gmock/gmock.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;

// Issuers that answer when they are let, and say how many are being asked.
class SlowIssuers {
 public:
  ~SlowIssuers() { release(); }
  net::Fetch fetch() {
    return [this](const net::FetchRequest& request) { return answer(request.url); };
  }
  void release() {
    const std::lock_guard lock(mutex_);
    is_held_ = false;
    changed_.notify_all();
  }
  void hold() {
    const std::lock_guard lock(mutex_);
    is_held_ = true;
  }
  int asked_at_once() {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  // Until so many are being asked; false when that takes unreasonably long.
  bool wait_until_asked(int number) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return now_ >= number; });
  }

 private:
  Result<net::FetchedDocument> answer(const std::string& url) {
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++now_);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !is_held_; });
    --now_;
    const std::string tail = "/.well-known/openid-configuration";
    if (!url.ends_with(tail)) return net::FetchedDocument{.body = R"({"keys":[]})"};
    const std::string issuer = url.substr(0, url.size() - tail.size());
    return net::FetchedDocument{.body =
                                    R"({"issuer":")" + issuer + R"(","jwks_uri":")" + issuer + R"(/keys"})"};
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_held_ = false;
  int now_ = 0, most_ = 0;
};

class ForeignIssuersTest : public ::testing::Test {
 protected:
  static std::string issuer(int number) { return "https://issuer" + std::to_string(number) + ".example"; }
  // Asks so many issuers at once, each by a thread; how many were answered with keys once all are let.
  void ask_in_background(int first, int count) {
    for (int number = first; number < first + count; ++number)
      threads_.emplace_back([this, number] {
        const auto keys = issuers_.keys(issuer(number), "", "");
        if (keys) ++answered_;
        ++ended_;
      });
  }
  void wait_until_ended(int number) {
    for (int tries = 0; ended_ < number && tries < 3000; ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_GE(ended_, number) << "they wait for issuers that do not answer";
  }
  void join() {
    slow_.release();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  void TearDown() override { join(); }

  SlowIssuers slow_;
  ManualClock clock_;
  ForeignIssuers issuers_{{.fetch = slow_.fetch(), .at_private_addresses = {}}, clock_};
  std::vector<std::thread> threads_;
  std::atomic<int> answered_ = 0, ended_ = 0;
};

TEST_F(ForeignIssuersTest, ManyIssuersThatDoNotAnswerHoldFewOfThoseWhoAsk) {
  slow_.hold();
  ask_in_background(0, 60);
  // Four ask and eight wait for room; the others are told at once, while nobody has been answered.
  wait_until_ended(60 - 12);
  EXPECT_EQ(answered_, 0);
  EXPECT_EQ(slow_.asked_at_once(), 4);
  const auto refused = issuers_.keys(issuer(100), "", "");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("too many wait"));
  join();
  EXPECT_EQ(answered_, 12) << "who waited for room was answered, too";
}

TEST_F(ForeignIssuersTest, AnIssuerThatHasAnsweredBeforeHasRoomBesideThoseThatNeverDid) {
  ASSERT_TRUE(issuers_.keys(issuer(1), "", "").has_value());
  clock_.advance(std::chrono::hours(2));  // its keys are believed no more
  slow_.hold();
  ask_in_background(10, 30);
  wait_until_ended(30 - 12);
  ask_in_background(1, 1);
  EXPECT_TRUE(slow_.wait_until_asked(5)) << "it is asked, although four others hold their room";
  join();
  EXPECT_EQ(answered_, 13);
}

}  // namespace
}  // namespace merlon::identity
