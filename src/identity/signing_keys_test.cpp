// Rotation of the keys that sign tokens: announced, at once, after a theft; by age; on two servers; and that
// old keys go.
#include "identity/signing_keys.h"

#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using std::chrono::hours;

class SigningKeysTest : public ::testing::Test {
 protected:
  World world;
  World::App app = world.make_app("web", hours(24 * 400));

  void rotate(Rotation rotation) {
    const store::Row made = must(world.issuer->make_key(rotation));
    world.write([&](store::Transaction& tx) { return world.issuer->adopt_key(tx, made, rotation); });
  }
  void tick() {
    world.clock.advance(std::chrono::minutes(1));
    must(world.issuer->tick(*world.ledger));
  }
  size_t published() { return world.issuer->jwks().at("keys").as_array().size(); }
  std::string signer() {
    return string_at(must(crypto::parse_jws(world.token(app))).header, "kid").value_or("");
  }
  bool good(const std::string& token) { return world.authenticate("Bearer " + token).has_value(); }
};

TEST_F(SigningKeysTest, ByAgeAnnouncedADayAheadAndTheOldOneKept) {
  const std::string first = signer();
  world.clock.advance(hours(24 * 88));
  tick();
  EXPECT_EQ(published(), 1U);
  world.clock.advance(hours(24));
  tick();
  EXPECT_EQ(published(), 2U);
  EXPECT_EQ(signer(), first);
  tick();
  EXPECT_EQ(published(), 2U);  // one is announced already
  world.clock.advance(hours(23));
  EXPECT_EQ(signer(), first);
  const std::string token = world.token(app);
  world.clock.advance(std::chrono::minutes(59));
  EXPECT_NE(signer(), first);
  EXPECT_TRUE(good(token));
  tick();
  EXPECT_EQ(published(), 2U);
  world.clock.advance(hours(2));
  tick();
  EXPECT_EQ(published(), 1U);
  EXPECT_FALSE(good(token));
  EXPECT_TRUE(good(world.token(app)));
  EXPECT_EQ(world.entries("Merlon.Identity/signingKeys/rotate").size(), 1U);
  EXPECT_EQ(world.entries("Merlon.Identity/signingKeys/delete").size(), 1U);
}

TEST_F(SigningKeysTest, AtOnce) {
  const std::string token = world.token(app);
  const std::string first = signer();
  world.clock.advance(std::chrono::seconds(1));
  rotate(Rotation::at_once);
  world.clock.advance(std::chrono::seconds(1));
  EXPECT_NE(signer(), first);
  EXPECT_TRUE(good(token));
}

TEST_F(SigningKeysTest, AStolenKeyIsGoneWithAllThatItSigned) {
  const std::string token = world.token(app);
  rotate(Rotation::announced);
  rotate(Rotation::compromised);
  EXPECT_EQ(published(), 1U);
  EXPECT_FALSE(good(token));
  EXPECT_TRUE(good(world.token(app)));
}

TEST_F(SigningKeysTest, OneAnnouncementAtATime) {
  rotate(Rotation::announced);
  const store::Row made = must(world.issuer->make_key(Rotation::announced));
  const auto again = world.store->write(
      [&](store::Transaction& tx) { return world.issuer->adopt_key(tx, made, Rotation::announced); });
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::conflict);
  EXPECT_EQ(published(), 2U);
}

TEST_F(SigningKeysTest, AnotherServerOnTheSameStoreFollowsAtOnce) {
  const auto other =
      must(Issuer::open(*world.store, *world.seal, world.clock, world.random,
                        {.tenant = world.tenant, .domain = "merlon.localhost", .own_audiences = {}}));
  const std::string token = world.token(app);
  rotate(Rotation::compromised);
  const auto principal = store::read_value<Principal>(*world.store, [&](store::Reader& reader) {
    return other->authenticate(reader, "Bearer " + token, world.peer, Api::resource_manager);
  });
  EXPECT_FALSE(principal);
  EXPECT_EQ(other->jwks(), world.issuer->jwks());
  EXPECT_EQ(other->form_key(), world.issuer->form_key());
}

TEST_F(SigningKeysTest, RotationOutlivesARestart) {
  rotate(Rotation::announced);
  world.reopen();
  EXPECT_EQ(published(), 2U);
  world.clock.advance(hours(24) + std::chrono::seconds(1));
  const std::string kid = signer();
  world.reopen();
  EXPECT_EQ(signer(), kid);
}

TEST_F(SigningKeysTest, AClockThatWasSetBackStillSigns) {
  world.clock.step_wall(-hours(24 * 400));
  TokenSubject subject;
  subject.principal.object_id = app.principal.id;
  subject.principal.kind = PrincipalKind::service_principal;
  subject.principal.app_id = app.application.app_id;
  subject.audience = World::kManagement;
  EXPECT_TRUE(good(must(world.issuer->issue(subject, World::kOrigin, hours(1)))));
}

}  // namespace
}  // namespace merlon::identity
