// A token that was accepted a moment ago is looked at with the same care: everything that ends a token ends
// it also where it is known already.
#include "identity/known_tokens.h"

#include "identity/sessions.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

class KnownTokensTest : public ::testing::Test {
 protected:
  World world;
  World::App app = world.make_app("web");
  std::string token = world.token(app);

  std::string code(Api api = Api::resource_manager) {
    const auto principal = world.authenticate("Bearer " + token, api);
    return principal ? "accepted" : principal.error().code;
  }
  // Known, and used again in the same state of the store.
  void SetUp() override {
    ASSERT_EQ(code(), "accepted");
    ASSERT_EQ(code(), "accepted");
  }
};

TEST_F(KnownTokensTest, ARevocationIsHeardOfAtOnce) {
  world.write([&](store::Transaction& tx) {
    return revoke_sessions(tx, world.tenant, app.principal.id, world.random);
  });
  EXPECT_EQ(code(), "InvalidAuthenticationToken");
}

TEST_F(KnownTokensTest, ADisabledPrincipalIsHeardOfAtOnce) {
  auto principal = app.principal;
  principal.enabled = false;
  world.write([&](store::Transaction& tx) { return store::put(tx, world.tenant, principal); });
  EXPECT_EQ(code(), "InvalidAuthenticationToken");
  principal.enabled = true;
  world.write([&](store::Transaction& tx) { return store::put(tx, world.tenant, principal); });
  EXPECT_EQ(code(), "accepted");
}

TEST_F(KnownTokensTest, ATransactionThatDisablesThePrincipalSeesThat) {
  const auto refused = world.store->write([&](store::Transaction& tx) -> Result<void> {
    auto principal = app.principal;
    principal.enabled = false;
    TRY(store::put(tx, world.tenant, principal));
    TRY(world.issuer->authenticate(tx, "Bearer " + token, world.peer));
    return {};
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "InvalidAuthenticationToken");
  EXPECT_EQ(code(), "accepted") << "nothing of that transaction remains";
}

TEST_F(KnownTokensTest, KeysThatAreGoneVerifyNothing) {
  const store::Row made = must(world.issuer->make_key(Rotation::compromised));
  world.write(
      [&](store::Transaction& tx) { return world.issuer->adopt_key(tx, made, Rotation::compromised); });
  EXPECT_EQ(code(), "InvalidAuthenticationToken");
}

TEST_F(KnownTokensTest, ItExpires) {
  world.clock.advance(std::chrono::hours(2));
  EXPECT_EQ(code(), "ExpiredAuthenticationToken");
  world.clock.step_wall(-std::chrono::hours(4));
  EXPECT_EQ(code(), "InvalidAuthenticationToken") << "not valid yet";
}

TEST_F(KnownTokensTest, ItIsForOneApiAlone) {
  EXPECT_EQ(code(Api::vault), "InvalidAuthenticationTokenAudience");
  EXPECT_EQ(code(), "accepted");
}

TEST_F(KnownTokensTest, TheAddressIsEachRequestsOwn) {
  world.peer = *IpAddress::parse("198.51.100.9");
  EXPECT_EQ(must(world.authenticate("Bearer " + token)).address, world.peer);
}

TEST_F(KnownTokensTest, AnotherSignatureIsAnotherToken) {
  token.back() = token.back() == 'A' ? 'Q' : 'A';
  token[token.size() - 10] = token[token.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_EQ(code(), "InvalidAuthenticationToken");
}

TEST(KnownTokens, NewOnesPushOutOldOnes) {
  KnownTokens known;
  const auto name = [](int i) { return KnownTokens::name_of("token " + std::to_string(i)); };
  for (int i = 0; i < 10'000; ++i) known.keep(name(i), std::make_shared<const KnownToken>());
  EXPECT_EQ(known.find(name(0)), nullptr);
  EXPECT_NE(known.find(name(9'999)), nullptr);
  int kept = 0;
  for (int i = 0; i < 10'000; ++i) kept += known.find(name(i)) == nullptr ? 0 : 1;
  EXPECT_LE(kept, 4096);
  EXPECT_GE(kept, 2048);
}

}  // namespace
}  // namespace merlon::identity
