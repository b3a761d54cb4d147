// Key Vault's limits: what is too much in ten seconds waits for the next ten, in that vault and of that kind.
#include "services/vault/throttle.h"

#include <gmock/gmock.h>

#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

TEST(VaultThrottle, CountsByVaultAndKindAndWeight) {
  ManualClock clock;
  VaultThrottle throttle(clock);
  const Uuid one = *Uuid::parse("11111111-1111-4111-8111-111111111111");
  const Uuid two = *Uuid::parse("22222222-2222-4222-8222-222222222222");
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(throttle.spend(one, {Transaction::make_key}));
  EXPECT_EQ(throttle.spend(one, {Transaction::make_key}), 10U);
  EXPECT_FALSE(throttle.spend(two, {Transaction::make_key}));
  EXPECT_FALSE(throttle.spend(one, {Transaction::make_key_in_token}));
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(throttle.spend(one, {Transaction::use_key, 8}));
  clock.advance(std::chrono::milliseconds(3500));
  EXPECT_EQ(throttle.spend(one, {Transaction::use_key}), 7U);
  EXPECT_FALSE(throttle.spend(one, {Transaction::other}));
  clock.advance(std::chrono::milliseconds(6500));
  EXPECT_FALSE(throttle.spend(one, {Transaction::make_key}));
  EXPECT_FALSE(throttle.spend(one, {Transaction::use_key}));
}

TEST(VaultThrottle, AllVaultsTogetherHaveFiveVaultsWorth) {
  ManualClock clock;
  VaultThrottle throttle(clock);
  unsigned admitted = 0;
  for (uint8_t vault = 0; vault < 9; ++vault) {
    const Uuid id = *Uuid::parse("11111111-1111-4111-8111-11111111111" + std::to_string(vault));
    for (int i = 0; i < 20; ++i)
      if (!throttle.spend(id, {Transaction::make_key})) ++admitted;
  }
  EXPECT_EQ(admitted, 100U);
}

class ThrottledVault : public VaultFixture {
 protected:
  void serve() {
    vaults_.reset();
    manager_ = resource::Manager::make(*core_);
    grants_ = std::make_unique<grant::Grants>(*core_, *manager_);
    machines_ = must(machine::Machines::open(*core_, *manager_, *grants_));
    platform_.reset(new Platform{*core_, *manager_, *grants_, *machines_});
    compute_ = compute::install(*platform_);
    network_ = network::install(*platform_, *compute_);
    vaults_ = install(*platform_);
  }
  Seen make_key() { return data("one", "POST", "/keys/k/create", R"({"kty":"EC"})"); }
};

TEST_F(ThrottledVault, RefusesAsAzureDoesAndGoesOn) {
  core_->rate_limits = resource::RateLimits::azure();
  serve();
  ASSERT_EQ(make_vault("one", R"("enableRbacAuthorization":true)").status, 200);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(make_key().status, 200) << i;
  const Seen refused = make_key();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.code(), "Throttled");
  EXPECT_EQ(refused.inner(), "VaultRequestTypeLimitReached");
  EXPECT_NE(refused.headers.value_or("Retry-After", ""), "");
  EXPECT_EQ(data("one", "GET", "/keys/k").status, 200);
  clock_.advance(std::chrono::seconds(10));
  EXPECT_EQ(make_key().status, 200);
}

TEST_F(ThrottledVault, NobodyIsThrottledUnlessAsked) {
  ASSERT_EQ(make_vault("one", R"("enableRbacAuthorization":true)").status, 200);
  for (int i = 0; i < 30; ++i) ASSERT_EQ(make_key().status, 200) << i;
}

}  // namespace
}  // namespace merlon::vault
