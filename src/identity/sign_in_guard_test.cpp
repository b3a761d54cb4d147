// The brake on guessing: when it bites, how hard, whom it spares, and that it stays small.
#include "identity/sign_in_guard.h"

#include <gtest/gtest.h>

namespace merlon::identity {
namespace {

using std::chrono::seconds;

const IpAddress kHome = *IpAddress::parse("192.0.2.7");

IpAddress stranger(int i) { return *IpAddress::parse("198.51.100." + std::to_string(i)); }

TEST(SignInGuard, TenFailuresAreFreeThenTheWaitDoubles) {
  ManualClock clock;
  SignInGuard guard(clock);
  for (int i = 0; i < 9; ++i) guard.failed("alice", kHome);
  EXPECT_EQ(guard.wait("alice", kHome), Duration(0));
  guard.failed("alice", kHome);
  EXPECT_EQ(guard.wait("alice", kHome), seconds(1));
  guard.failed("alice", kHome);
  EXPECT_EQ(guard.wait("alice", kHome), seconds(2));
  clock.step_wall(std::chrono::hours(5));  // a stepped clock opens nothing
  EXPECT_EQ(guard.wait("alice", kHome), seconds(2));
  clock.advance(seconds(2));
  EXPECT_LE(guard.wait("alice", kHome), Duration(0));
  for (int i = 0; i < 40; ++i) guard.failed("alice", kHome);
  EXPECT_EQ(guard.wait("alice", kHome), std::chrono::minutes(15));
  clock.advance(std::chrono::hours(2));
  guard.failed("alice", kHome);
  EXPECT_LE(guard.wait("alice", kHome), Duration(0));
}

TEST(SignInGuard, AnAccountIsGuardedAgainstManySources) {
  ManualClock clock;
  SignInGuard guard(clock);
  for (int i = 1; i <= 12; ++i) guard.failed("Alice", stranger(i));
  EXPECT_GT(guard.wait("alice", stranger(99)), Duration(0));
  EXPECT_EQ(guard.wait("bob", stranger(99)), Duration(0));
}

TEST(SignInGuard, ASourceIsGuardedOverManyAccounts) {
  ManualClock clock;
  SignInGuard guard(clock);
  for (int i = 0; i < 12; ++i) guard.failed("user" + std::to_string(i), kHome);
  EXPECT_GT(guard.wait("fresh", kHome), Duration(0));
  EXPECT_EQ(guard.wait("fresh", stranger(1)), Duration(0));
}

TEST(SignInGuard, StrangersDoNotLockOutWhoSignsInFromHome) {
  ManualClock clock;
  SignInGuard guard(clock);
  guard.succeeded("alice", kHome);
  for (int i = 1; i <= 100; ++i) guard.failed("alice", stranger(i));
  EXPECT_GT(guard.wait("alice", stranger(200)), Duration(0));
  EXPECT_EQ(guard.wait("alice", kHome), Duration(0));
  for (int i = 0; i < 12; ++i) guard.failed("alice", kHome);  // home is guarded too
  EXPECT_GT(guard.wait("alice", kHome), Duration(0));
}

TEST(SignInGuard, AnIpv6NetworkIsOneSource) {
  ManualClock clock;
  SignInGuard guard(clock);
  for (int i = 1; i <= 12; ++i)
    guard.failed("user" + std::to_string(i), *IpAddress::parse("2001:db8::" + std::to_string(i)));
  EXPECT_GT(guard.wait("fresh", *IpAddress::parse("2001:db8::ffff")), Duration(0));
  EXPECT_EQ(guard.wait("fresh", *IpAddress::parse("2001:db8:0:1::1")), Duration(0));
}

TEST(SignInGuard, MemoryIsBounded) {
  ManualClock clock;
  SignInGuard guard(clock, 100);
  for (int i = 0; i < 10'000; ++i) guard.failed("user" + std::to_string(i), kHome);
  EXPECT_LE(guard.size(), 100U);
  EXPECT_GT(guard.wait("other", kHome), Duration(0));  // what is in use stays
}

}  // namespace
}  // namespace merlon::identity
