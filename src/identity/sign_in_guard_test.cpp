// The brake on guessing: when it bites, how hard, whom it spares, and that it holds after a restart.
#include "identity/sign_in_guard.h"

#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using std::chrono::seconds;

const IpAddress kHome = *IpAddress::parse("192.0.2.7");

IpAddress stranger(int i) { return *IpAddress::parse("198.51.100." + std::to_string(i)); }

class SignInGuardTest : public ::testing::Test {
 protected:
  World world;
  std::unique_ptr<SignInGuard> guard = std::make_unique<SignInGuard>(*world.store, world.tenant, world.clock);

  // An attempt that fails when it is let through: how long it had to wait.
  Duration attempt(const std::string& account, const IpAddress& peer) {
    return must(guard->begin(account, peer));
  }
  // As many failures as it takes, with the waits in between.
  void fail_often(const std::string& account, const IpAddress& peer, int times) {
    for (int i = 0; i < times; ++i)
      for (Duration wait = attempt(account, peer); wait > Duration(0); wait = attempt(account, peer))
        world.clock.advance(wait);
  }
  size_t rows() {
    return world
        .read<std::vector<store::Row>>([&](store::Reader& reader) {
          return reader.scan(AttemptCount::table(), world.tenant,
                             {.prefix = {}, .after = {}, .after_key = {}, .limit = 5000});
        })
        .size();
  }
};

TEST_F(SignInGuardTest, TenFailuresAreFreeThenTheWaitDoubles) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(attempt("alice", kHome), Duration(0));
  EXPECT_EQ(attempt("alice", kHome), seconds(1));
  EXPECT_EQ(attempt("Alice", kHome), seconds(1));  // what must wait is not counted
  world.clock.advance(seconds(1));
  EXPECT_EQ(attempt("alice", kHome), Duration(0));
  EXPECT_EQ(attempt("alice", kHome), seconds(2));
  world.clock.step_wall(-std::chrono::hours(24));  // a clock set back locks nobody out for a day
  EXPECT_LE(attempt("alice", kHome), std::chrono::minutes(15));
  world.clock.step_wall(std::chrono::hours(24));
  fail_often("alice", kHome, 10);
  EXPECT_EQ(attempt("alice", kHome), std::chrono::minutes(15));
  world.clock.advance(std::chrono::hours(2));
  EXPECT_EQ(attempt("alice", kHome), Duration(0));
  EXPECT_EQ(attempt("alice", kHome), Duration(0));
}

TEST_F(SignInGuardTest, WhoAsksHowLongItIsIsNotCounted) {
  const auto wait_of = [&] { return must(guard->wait_of("alice", kHome)); };
  for (int i = 0; i < 30; ++i) EXPECT_EQ(wait_of(), Duration(0));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(attempt("alice", kHome), Duration(0));
  EXPECT_EQ(wait_of(), seconds(1));
  world.clock.advance(seconds(1));
  EXPECT_EQ(wait_of(), Duration(0));
}

TEST_F(SignInGuardTest, AnAccountIsGuardedAgainstManySources) {
  for (int i = 1; i <= 10; ++i) attempt("Alice", stranger(i));
  EXPECT_GT(attempt("alice", stranger(99)), Duration(0));
  EXPECT_EQ(attempt("bob", stranger(99)), Duration(0));
}

TEST_F(SignInGuardTest, ASourceIsGuardedOverManyAccounts) {
  for (int i = 0; i < 30; ++i) EXPECT_EQ(attempt("user" + std::to_string(i), kHome), Duration(0));
  EXPECT_GT(attempt("fresh", kHome), Duration(0));
  EXPECT_EQ(attempt("fresh", stranger(1)), Duration(0));
}

TEST_F(SignInGuardTest, OneGoodAccountDoesNotOpenTheSourceForAllOthers) {
  for (int i = 0; i < 29; ++i) attempt("user" + std::to_string(i), kHome);
  ASSERT_EQ(attempt("mallory", kHome), Duration(0));
  must(guard->succeeded("mallory", kHome));
  world.clock.advance(seconds(1));
  EXPECT_EQ(attempt("victim1", kHome), Duration(0));
  EXPECT_GT(attempt("victim2", kHome), Duration(0));
}

TEST_F(SignInGuardTest, ASuccessTakesItsOwnAttemptOffAgain) {
  for (int i = 0; i < 15; ++i) {
    ASSERT_EQ(attempt("alice", kHome), Duration(0)) << i;
    must(guard->succeeded("alice", kHome));
  }
}

TEST_F(SignInGuardTest, StrangersDoNotLockOutWhoSignsInFromHome) {
  attempt("alice", kHome);
  must(guard->succeeded("alice", kHome));
  for (int i = 1; i <= 20; ++i) attempt("alice", stranger(i));
  EXPECT_GT(attempt("alice", stranger(200)), Duration(0));
  EXPECT_EQ(attempt("alice", kHome), Duration(0));
  must(guard->succeeded("alice", kHome));
  EXPECT_GT(attempt("alice", stranger(200)), Duration(0));  // nor does the owner let the strangers in
  for (int i = 0; i < 10; ++i) attempt("alice", kHome);     // home is guarded too
  EXPECT_GT(attempt("alice", kHome), Duration(0));
}

TEST_F(SignInGuardTest, AnIpv6NetworkIsOneSource) {
  for (int i = 1; i <= 30; ++i)
    attempt("user" + std::to_string(i), *IpAddress::parse("2001:db8::" + std::to_string(i)));
  EXPECT_GT(attempt("fresh", *IpAddress::parse("2001:db8::ffff")), Duration(0));
  EXPECT_EQ(attempt("fresh", *IpAddress::parse("2001:db8:0:1::1")), Duration(0));
}

TEST_F(SignInGuardTest, ARestartAndAnotherServerForgiveNothing) {
  for (int i = 0; i < 10; ++i) attempt("alice", stranger(i));
  const SignInGuard other(*world.store, world.tenant, world.clock);
  EXPECT_GT(must(SignInGuard(*world.store, world.tenant, world.clock).begin("alice", kHome)), Duration(0));
  guard.reset();
  world.reopen();
  guard = std::make_unique<SignInGuard>(*world.store, world.tenant, world.clock);
  EXPECT_GT(attempt("alice", kHome), Duration(0));
}

TEST_F(SignInGuardTest, OldCountsAreSwept) {
  for (int i = 0; i < 30; ++i) attempt("user" + std::to_string(i), stranger(i));
  EXPECT_EQ(rows(), 60U);
  world.clock.advance(std::chrono::hours(2));
  for (int i = 0; i < 10; ++i) attempt("later" + std::to_string(i), stranger(100 + i));
  EXPECT_EQ(rows(), 20U);
}

TEST_F(SignInGuardTest, NamesThatStrangersTypeAreNotKept) {
  attempt("a-password-in-the-wrong-field", kHome);
  for (const store::Row& row : world.read<std::vector<store::Row>>([&](store::Reader& reader) {
         return reader.scan(AttemptCount::table(), world.tenant,
                            {.prefix = {}, .after = {}, .after_key = {}});
       }))
    EXPECT_EQ((row.key + row.body).find("wrong-field"), std::string::npos);
}

TEST_F(SignInGuardTest, UserCodesAndDeviceCodes) {
  const Uuid user = Uuid::generate(world.random);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(must(guard->begin_user_code(user, kHome)), Duration(0));
  EXPECT_GT(must(guard->begin_user_code(user, kHome)), Duration(0));
  for (int i = 0; i < 60; ++i) EXPECT_EQ(must(guard->begin_device_code(kHome)), Duration(0));
  EXPECT_GT(must(guard->begin_device_code(kHome)), Duration(0));
  EXPECT_LE(must(guard->begin_device_code(kHome)), seconds(10));
  EXPECT_EQ(must(guard->begin_device_code(stranger(1))), Duration(0));
}

}  // namespace
}  // namespace merlon::identity
