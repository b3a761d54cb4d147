// The first credential: made once, good for a day, retired by the first administrator, and made again only by
// recovery.
#include "identity/bootstrap.h"

#include "identity/test_world.h"

namespace merlon::identity {
namespace {

class BootstrapTest : public ::testing::Test {
 protected:
  std::optional<BootstrapCredential> begin(BootstrapLifetime lifetime = BootstrapLifetime::one_day) {
    return world.write<std::optional<BootstrapCredential>>(
        [&](store::Transaction& tx) { return bootstrap(tx, *world.directory, lifetime); });
  }
  bool retire() {
    return world.write<bool>([&](store::Transaction& tx) { return retire_bootstrap(tx, *world.directory); });
  }
  BootstrapCredential recover() {
    return world.write<BootstrapCredential>(
        [&](store::Transaction& tx) { return recover_bootstrap(tx, *world.directory); });
  }
  int sign_in(const BootstrapCredential& credential) {
    World::App app;
    app.application.app_id = credential.client_id;
    app.secret = std::string(credential.secret.expose_text());
    const net::Response response = world.ask_token(app);
    if (response.status == 200) token = *string_at(body_of(response), "access_token");
    return response.status;
  }
  bool administers(const BootstrapCredential& credential) {
    return world.read<bool>([&](store::Reader& reader) {
      return world.directory->has_directory_role(reader, *Uuid::parse(kGlobalAdministrator),
                                                 credential.service_principal_id);
    });
  }
  World world;
  std::string token;
};

TEST_F(BootstrapTest, OnceAndForADay) {
  const auto credential = begin();
  ASSERT_TRUE(credential);
  EXPECT_FALSE(begin());
  EXPECT_TRUE(administers(*credential));
  EXPECT_EQ(sign_in(*credential), 200);
  world.reopen();
  EXPECT_FALSE(begin());
  world.clock.advance(std::chrono::hours(24));
  EXPECT_EQ(sign_in(*credential), 401);
}

TEST_F(BootstrapTest, RetiringEndsSecretSessionAndRole) {
  const auto credential = begin();
  ASSERT_EQ(sign_in(*credential), 200);
  ASSERT_TRUE(world.authenticate("Bearer " + token));
  EXPECT_TRUE(retire());
  EXPECT_FALSE(retire());
  EXPECT_FALSE(world.authenticate("Bearer " + token));
  EXPECT_NE(sign_in(*credential), 200);
  EXPECT_FALSE(administers(*credential));
  EXPECT_FALSE(begin());
}

TEST_F(BootstrapTest, RecoveryMakesANewSecretForTheSamePrincipal) {
  const auto first = begin();
  ASSERT_TRUE(retire());
  const BootstrapCredential second = recover();
  EXPECT_EQ(second.client_id, first->client_id);
  EXPECT_EQ(sign_in(second), 200);
  EXPECT_NE(sign_in(*first), 200);
  EXPECT_TRUE(administers(second));
  // Also when somebody removed the application.
  world.write(
      [&](store::Transaction& tx) { return world.directory->erase_application(tx, second.application_id); });
  const BootstrapCredential third = recover();
  EXPECT_NE(third.client_id, first->client_id);
  EXPECT_EQ(sign_in(third), 200);
}

TEST_F(BootstrapTest, KeptForTests) {
  const auto credential = begin(BootstrapLifetime::kept);
  EXPECT_FALSE(retire());
  world.clock.advance(std::chrono::hours(24) * 365 * 20);
  EXPECT_EQ(sign_in(*credential), 200);
}

TEST_F(BootstrapTest, TheAzureCliIsKnownOnce) {
  world.write([&](store::Transaction& tx) { return ensure_well_known(tx, *world.directory); });
  const auto found = world.read<std::optional<Application>>([&](store::Reader& reader) {
    return world.directory->application_by_app_id(reader, *Uuid::parse(kAzureCliAppId));
  });
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->public_client);
  EXPECT_TRUE(found->passwords.empty());
}

}  // namespace
}  // namespace merlon::identity
