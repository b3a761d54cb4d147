// Who says much is slowed down to their rate, many to their share, and who says little is not.
#include "recording/rate.h"

#include <gtest/gtest.h>

#include "recording/limits.h"

namespace merlon::recording {
namespace {

constexpr uint64_t kMegabyte = uint64_t{1} << 20U;

// Says `bytes` whenever it may; how much it has said at the end of `time`.
uint64_t said_in(RateShare& share, RateAccount& account, Duration begin, Duration time, uint64_t bytes) {
  uint64_t said = 0;
  for (Duration now = begin; now < begin + time; now += std::max(Duration(1), share.wait(account, now))) {
    if (share.wait(account, now) > Duration(0)) continue;
    share.spend(account, bytes, now);
    said += bytes;
  }
  return said;
}

TEST(RateShare, OneIsSlowedDownToItsRate) {
  RateShare share(4 * kMegabyte, 32 * kMegabyte, 0);
  RateAccount account;
  const uint64_t said = said_in(share, account, Duration(5000), std::chrono::seconds(10), 200'000);
  EXPECT_NEAR(static_cast<double>(said), 44.0 * kMegabyte, 1.0 * kMegabyte) << "and what it had saved up";
}

TEST(RateShare, WhoHasBeenQuietSaysALotAtOnce) {
  RateShare share(4 * kMegabyte, 32 * kMegabyte, 256 * kMegabyte);
  RateAccount account;
  const uint64_t first = said_in(share, account, Duration(0), std::chrono::seconds(2), kMegabyte);
  EXPECT_NEAR(static_cast<double>(first), 264.0 * kMegabyte, 2.0 * kMegabyte);
  const uint64_t then = said_in(share, account, Duration(2000), std::chrono::seconds(10), kMegabyte);
  EXPECT_NEAR(static_cast<double>(then), 40.0 * kMegabyte, 2.0 * kMegabyte);
  share.settle(account, std::chrono::hours(1));
  const uint64_t later =
      said_in(share, account, std::chrono::hours(1), std::chrono::seconds(2), 16 * kMegabyte);
  EXPECT_NEAR(static_cast<double>(later), 264.0 * kMegabyte, 20.0 * kMegabyte);
}

TEST(RateShare, ManyAtOnceHaveNoMoreSavedUpThanTheServersShare) {
  RateShare share(4 * kMegabyte, 32 * kMegabyte, 256 * kMegabyte);
  std::vector<RateAccount> loud(64);
  uint64_t said = 0;
  for (Duration now{0}; now < std::chrono::seconds(2); now += Duration(1))
    for (RateAccount& account : loud) {
      if (share.wait(account, now) > Duration(0)) continue;
      share.spend(account, kMegabyte, now);
      said += kMegabyte;
    }
  // Eight at their own rate are the server's; the first of them do not yet know of the others.
  EXPECT_LE(said, uint64_t{8} * 256 * kMegabyte * 3 / 2);
}

TEST(RateShare, ManyShareTheServersAndWhoSaysLittleDoesNotWait) {
  RateShare share(4 * kMegabyte, 32 * kMegabyte, 0);
  std::vector<RateAccount> loud(100);
  RateAccount quiet;
  uint64_t said = 0;
  Duration waited{0};
  for (Duration now{0}; now < std::chrono::seconds(20); now += Duration(10)) {
    for (RateAccount& account : loud) {
      if (share.wait(account, now) > Duration(0)) continue;
      share.spend(account, 16'000, now);
      if (now >= std::chrono::seconds(10)) said += 16'000;
    }
    waited = std::max(waited, share.wait(quiet, now));
    share.spend(quiet, 100, now);
  }
  EXPECT_EQ(share.busy(), 100U);
  EXPECT_LE(said, 330 * kMegabyte) << "in ten seconds";
  EXPECT_GE(said, 280 * kMegabyte);
  EXPECT_EQ(waited, Duration(0));
  for (RateAccount& account : loud) share.leave(account);
  EXPECT_EQ(share.busy(), 0U);
}

TEST(RateShare, WhoFallsSilentLeavesItsShareToOthers) {
  RateShare share(4 * kMegabyte, 4 * kMegabyte, 0);
  RateAccount silent, account;
  share.spend(silent, kMegabyte, Duration(0));
  share.spend(account, kMegabyte, Duration(0));
  EXPECT_EQ(share.busy(), 2U);
  share.settle(silent, Duration(1500));
  share.settle(silent, Duration(3000));
  share.settle(account, Duration(3000));
  const uint64_t said = said_in(share, account, Duration(3000), std::chrono::seconds(10), 100'000);
  EXPECT_GE(said, 40 * kMegabyte);
}

TEST(RecordingLimits, AreReadStrictly) {
  const auto some = parse_recording_limits("disk=80,session=2");
  ASSERT_TRUE(some);
  EXPECT_EQ(some->rate_each, 2 * kMegabyte);
  EXPECT_EQ(some->rate_all, 32 * kMegabyte);
  EXPECT_EQ(some->disk_percent, 80U);
  EXPECT_EQ(some->disk_percent_running(), 90U);
  EXPECT_EQ(some->burst_each, 256 * kMegabyte);
  EXPECT_EQ(parse_recording_limits("burst=8")->burst_each, 8 * kMegabyte);
  EXPECT_TRUE(parse_recording_limits(""));
  for (const char* text : {"x", "disk", "disk=", "disk=0", "disk=101", "session=-1", "session=1,",
                           "server=1M", "server=9999999999", "all=3"})
    EXPECT_EQ(parse_recording_limits(text).error().code, "InvalidOption") << text;
}

}  // namespace
}  // namespace merlon::recording
