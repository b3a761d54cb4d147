// Token buckets by a clock that the test holds, and what a throttled client is told.
#include "resource/throttle.h"

#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Throttle, ABucketEmptiesAndFillsAtItsRate) {
  ManualClock clock;
  crypto::SystemRandom random;
  Throttle throttle({{{{3, 2}, {1, 1}, {1, 1}}}}, clock);
  const Uuid ada = Uuid::generate(random);
  for (const uint32_t left : {2U, 1U, 0U}) {
    const auto answer = throttle.admit(ada, RequestKind::read);
    EXPECT_TRUE(answer.admitted);
    EXPECT_EQ(answer.remaining, left);
  }
  EXPECT_FALSE(throttle.admit(ada, RequestKind::read).admitted);
  EXPECT_EQ(throttle.admit(ada, RequestKind::read).retry_after_s, 1U);
  // Other kinds and other people have buckets of their own.
  EXPECT_TRUE(throttle.admit(ada, RequestKind::write).admitted);
  EXPECT_TRUE(throttle.admit(Uuid::generate(random), RequestKind::read).admitted);
  clock.advance(milliseconds(400));
  EXPECT_FALSE(throttle.admit(ada, RequestKind::read).admitted);
  clock.advance(milliseconds(100));
  EXPECT_TRUE(throttle.admit(ada, RequestKind::read).admitted);
  EXPECT_FALSE(throttle.admit(ada, RequestKind::read).admitted);
  clock.step_wall(std::chrono::hours(24));  // what an administrator does to the wall clock refills nothing
  EXPECT_FALSE(throttle.admit(ada, RequestKind::read).admitted);
  clock.advance(seconds(3600));
  EXPECT_EQ(throttle.admit(ada, RequestKind::read).remaining, 2U);  // never more than the bucket holds
}

TEST(Throttle, ManyPrincipalsDoNotFillTheMemoryNorEmptyABucket) {
  ManualClock clock;
  crypto::SystemRandom random;
  Throttle throttle({{{{1, 1}, {1, 1}, {1, 1}}}}, clock);
  const Uuid ada = Uuid::generate(random);
  EXPECT_TRUE(throttle.admit(ada, RequestKind::read).admitted);
  for (int i = 0; i < 6000; ++i) throttle.admit(Uuid::generate(random), RequestKind::read);
  EXPECT_FALSE(throttle.admit(ada, RequestKind::read).admitted);  // still remembered
}

TEST(Throttle, ReadsItsSetting) {
  EXPECT_FALSE(must(parse_rate_limits("off")).has_value());
  EXPECT_EQ(must(parse_rate_limits("azure"))->buckets[0].size, 250U);
  const auto own = must(parse_rate_limits("deletes=5:6,reads=1:2,writes=3:4"));
  EXPECT_EQ(own->buckets[1].size, 3U);
  EXPECT_EQ(own->buckets[2].per_second, 6U);
  for (const char* bad :
       {"", "on", "reads=1:2", "reads=1:2,writes=3:4,deletes=0:1", "reads=1,writes=1,deletes=1",
        "reads=1:2,reads=1:2,writes=3:4", "reads=1:2,writes=3:4,deletes=-1:1",
        "reads=1:2,writes=3:4,deletes=1:9999999", "reads=1:2,writes=3:4,deletes=1:1,x=1:1"}) {
    const auto refused = parse_rate_limits(bad);
    ASSERT_FALSE(refused.has_value()) << bad;
    EXPECT_EQ(refused.error().code, "InvalidRateLimits");
  }
}

class ThrottledRequestsTest : public ResourceFixture {};

TEST_F(ThrottledRequestsTest, AreToldHowLongToWait) {
  core_->rate_limits = RateLimits{{{{2, 1}, {1, 1}, {1, 1}}}};
  manager_ = Manager::make(*core_);
  const Answer first = send("GET", kSubscription);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(*first.headers.find("x-ms-ratelimit-remaining-subscription-reads"), "1");
  EXPECT_EQ(*send("GET", "/tenants").headers.find("x-ms-ratelimit-remaining-tenant-reads"), "0");
  const Answer refused = send("GET", kSubscription);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.code(), "SubscriptionRequestsThrottled");
  EXPECT_THAT(refused.message(), testing::HasSubstr("Number of 'read' requests"));
  EXPECT_EQ(*refused.headers.find("Retry-After"), "1");
  EXPECT_EQ(*refused.headers.find("x-ms-ratelimit-remaining-subscription-reads"), "0");
  // A write counts once, though rights are asked for twice; nobody without a token empties a bucket.
  EXPECT_EQ(send_as("", "PUT", kGroup, R"({"location":"local"})").status, 401);
  EXPECT_EQ(send("PUT", kGroup, R"({"location":"local"})").status, 201);
  EXPECT_EQ(send("PUT", kGroup, R"({"location":"local"})").status, 429);
  EXPECT_EQ(send("DELETE", kGroup).status, 202);
  clock_.advance(seconds(1));
  EXPECT_EQ(send("GET", kSubscription).status, 200);
}

TEST_F(ThrottledRequestsTest, NobodyIsUnlessTheServerSaysSo) {
  EXPECT_EQ(send("GET", kSubscription).headers.find("x-ms-ratelimit-remaining-subscription-reads"), nullptr);
}

}  // namespace
}  // namespace merlon::resource
