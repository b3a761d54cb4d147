// Who comes to a vault from where, and what is left of rights when the thing that they are at is gone.
#include <gmock/gmock.h>

#include "services/vault/records.h"
#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

using testing::HasSubstr;

constexpr const char* kSecretsUser = "4633458b-17de-408a-b874-0445c86b69e6";
const std::string kDeletedVault =
    "/subscriptions/22222222-2222-4222-8222-222222222222/providers/Microsoft.KeyVault/locations/local/"
    "deletedVaults/kv-test";

class VaultRules : public VaultFixture {
 protected:
  void SetUp() override { ASSERT_EQ(make_vault("kv-test").status, 200); }
  static std::string subnet() {
    return kGroup + "/providers/Microsoft.Network/virtualNetworks/net/subnets/s";
  }
  Seen put_subnet(const std::string& prefix) {
    return control("PUT", subnet(), R"({"properties":{"addressPrefix":")" + prefix + R"("}})", "2023-11-01");
  }
  Seen put_network(const std::string& space) {
    return control(
        "PUT", kGroup + "/providers/Microsoft.Network/virtualNetworks/net",
        R"({"location":"local","properties":{"addressSpace":{"addressPrefixes":[)" + space + "]}}}",
        "2023-11-01");
  }
  Seen put_rules(const std::string& rules) {
    return make_vault("kv-test", R"("enableRbacAuthorization":true,"networkAcls":{"defaultAction":"Deny",)"
                                 R"("virtualNetworkRules":[)" +
                                     rules + "]}");
  }
  std::string rule() const { return R"({"id":")" + subnet() + R"("})"; }
  int from(const char* peer) {
    peer_ = *IpAddress::parse(peer);
    last_ = data("kv-test", "GET", "/secrets");
    return last_.status;
  }
  Seen last_;
};

TEST_F(VaultRules, ASubnetLetsInWhatItHadWhenItsRuleWasWritten) {
  ASSERT_EQ(put_network(R"("10.0.0.0/8","0.0.0.0/1")").status, 201);
  const Seen made = put_subnet("10.1.0.0/24");
  ASSERT_EQ(made.status, 201) << made.text;
  ASSERT_EQ(put_rules(rule()).status, 200);
  EXPECT_EQ(from("10.1.0.9"), 200);
  EXPECT_EQ(from("10.2.0.9"), 403);
  EXPECT_EQ(last_.inner(), "ForbiddenByFirewall");
  // Whoever may write the network cannot open the vault with it,
  ASSERT_EQ(put_subnet("0.0.0.0/1").status, 200);
  EXPECT_EQ(from("10.1.0.9"), 200);
  EXPECT_EQ(from("10.2.0.9"), 403);
  EXPECT_THAT(last_.at("error.message"), HasSubstr("take the rule out and add it again"));
  EXPECT_EQ(from("9.9.9.9"), 403);
  // nor by waiting for the vault to be written again.
  ASSERT_EQ(put_rules(rule()).status, 200);
  EXPECT_EQ(from("9.9.9.9"), 403);
  // But they can shut it.
  ASSERT_EQ(put_subnet("10.2.0.0/24").status, 200);
  EXPECT_EQ(from("10.1.0.9"), 403);
  EXPECT_EQ(from("10.2.0.9"), 403);
  // Whoever may write the vault takes the subnet as it is now.
  ASSERT_EQ(put_rules("").status, 200);
  ASSERT_EQ(put_rules(rule()).status, 200);
  EXPECT_EQ(from("10.2.0.9"), 200);
  EXPECT_EQ(from("10.1.0.9"), 403);
}

// They are looked at one by one, while others wait to be read.
TEST_F(VaultRules, AVaultWithManyRulesIsAWorkers) {
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/s", R"({"value":"v"})").status, 200);
  const auto with_addresses = [&](int count) {
    std::string rules;
    for (int i = 0; i < count; ++i)
      rules += std::string(i == 0 ? "" : ",") + R"({"value":"192.0.2.)" + std::to_string(i) + R"("})";
    return make_vault("kv-test", R"("enableRbacAuthorization":true,"networkAcls":{"defaultAction":"Deny",)"
                                 R"("ipRules":[)" +
                                     rules + "]}");
  };
  const auto begun_by_a_read = [&] {
    const int before = begun_;
    EXPECT_EQ(data("kv-test", "GET", "/secrets/s").status, 200);
    return begun_ - before;
  };
  ASSERT_EQ(with_addresses(64).status, 200);
  begun_by_a_read();  // rights are known from now on
  EXPECT_EQ(begun_by_a_read(), 1);
  ASSERT_EQ(with_addresses(65).status, 200);
  EXPECT_EQ(begun_by_a_read(), 0);
  EXPECT_EQ(begun_by_a_read(), 0);
}

TEST_F(VaultRules, ASubnetWithPublicAddressesIsNotNamed) {
  ASSERT_EQ(put_network(R"("0.0.0.0/1")").status, 201);
  ASSERT_EQ(put_subnet("8.0.0.0/6").status, 201);
  const Seen refused = put_rules(rule());
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.at("error.message"), HasSubstr("ipRules"));
}

TEST_F(VaultRules, WhatIsNewHasNoRightsOfWhatWasPurged) {
  const Person reader = make_person("reader");
  const std::string bearer = token(reader, "https://vault.merlon.localhost:8443");
  const auto may_read = [&](const std::string& path) {
    return data_as(bearer, "kv-test", "GET", path).status == 200;
  };
  const auto set = [&](const char* name) {
    return data("kv-test", "PUT", std::string("/secrets/") + name, R"({"value":"v"})").status;
  };
  for (const char* name : {"s", "longer", "s2"}) {
    ASSERT_EQ(set(name), 200);
    assign(reader, kSecretsUser, vault_id("kv-test") + "/secrets/" + name);
  }
  ASSERT_TRUE(may_read("/secrets/s"));
  // What is recovered has its own again.
  ASSERT_EQ(data("kv-test", "DELETE", "/secrets/s").status, 200);
  ASSERT_EQ(data("kv-test", "POST", "/deletedsecrets/s/recover").status, 200);
  EXPECT_TRUE(may_read("/secrets/s"));
  ASSERT_EQ(data("kv-test", "DELETE", "/secrets/s").status, 200);
  ASSERT_EQ(data("kv-test", "DELETE", "/deletedsecrets/s").status, 204);
  ASSERT_EQ(set("s"), 200);
  EXPECT_FALSE(may_read("/secrets/s"));
  EXPECT_TRUE(may_read("/secrets/s2"));
  // When retention ends by itself, too.
  ASSERT_EQ(data("kv-test", "DELETE", "/secrets/longer").status, 200);
  clock_.advance(std::chrono::hours(24 * 91));
  owner_token_.clear();
  must(vaults_->tick({}));
  ASSERT_EQ(set("longer"), 200);
  const std::string fresh = token(reader, "https://vault.merlon.localhost:8443");
  EXPECT_EQ(data_as(fresh, "kv-test", "GET", "/secrets/longer").status, 403);
  EXPECT_EQ(data_as(fresh, "kv-test", "GET", "/secrets/s2").status, 200);
}

// The key and the secret of a certificate go with it, and so does what was given there.
TEST_F(VaultRules, APurgedCertificateLeavesNoRightsAtItsKeyAndSecret) {
  const std::string policy = R"({"policy":{"issuer":{"name":"Self"},"key_props":{"kty":"EC","crv":"P-256"},)"
                             R"("x509_props":{"subject":"CN=www"}}})";
  const auto make = [&] { return data("kv-test", "POST", "/certificates/c/create", policy); };
  const Seen made = make();
  ASSERT_EQ(made.status, 202) << made.text;
  const Person reader = make_person("reader");
  const std::string bearer = token(reader, "https://vault.merlon.localhost:8443");
  assign(reader, kSecretsUser, vault_id("kv-test") + "/secrets/c");
  EXPECT_EQ(data_as(bearer, "kv-test", "GET", "/secrets/c").status, 200);
  ASSERT_EQ(data("kv-test", "DELETE", "/certificates/c").status, 200);
  ASSERT_EQ(data("kv-test", "DELETE", "/deletedcertificates/c").status, 204);
  ASSERT_EQ(make().status, 202);
  EXPECT_EQ(data_as(bearer, "kv-test", "GET", "/secrets/c").inner(), "ForbiddenByRbac");
}

// Given while the vault was deleted: by nobody through the API, and the next vault does not have it.
TEST_F(VaultRules, APurgedVaultLeavesNoRights) {
  ASSERT_EQ(control("DELETE", vault_id("kv-test")).status, 200);
  const Person reader = make_person("reader");
  assign(reader, kSecretsUser, vault_id("kv-test") + "/secrets/s");
  ASSERT_EQ(control("POST", kDeletedVault + "/purge").status, 202);
  ASSERT_EQ(make_vault("kv-test").status, 200);
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/s", R"({"value":"v"})").status, 200);
  EXPECT_EQ(
      data_as(token(reader, "https://vault.merlon.localhost:8443"), "kv-test", "GET", "/secrets/s").status,
      403);
}

}  // namespace
}  // namespace merlon::vault
