// What a key carries with it is read with each of its uses: it is small, whoever makes it.
#include "services/vault/rotation.h"

#include <gtest/gtest.h>

#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

const std::string kNotify = R"({"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Notify"}})";
const std::string kRotate = R"({"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}})";

std::string fault_of(const std::string& actions) {
  const auto policy = read_rotation_policy(
      *parse_json_object(R"({"attributes":{"expiryTime":"P2Y"},"lifetimeActions":[)" + actions + "]}"));
  return policy ? "" : policy.error().code;
}

TEST(RotationPolicy, HasOneActionOfEachKind) {
  EXPECT_EQ(fault_of(kRotate + "," + kNotify), "");
  EXPECT_EQ(fault_of(kNotify + "," + kNotify), "BadParameter");
  EXPECT_EQ(fault_of(kRotate + "," + kRotate), "BadParameter");
  EXPECT_EQ(fault_of(kRotate + "," + kNotify + "," + kNotify), "BadParameter");
}

class KeyBounds : public VaultFixture {};

TEST_F(KeyBounds, AReleasePolicySaysItsTypeBriefly) {
  ASSERT_EQ(make_vault("kv-test").status, 200);
  const auto make = [&](size_t length) {
    // {"version":"1.0.0","anyOf":[]}
    return data("kv-test", "POST", "/keys/k/create",
                R"({"kty":"EC","attributes":{"exportable":true},"release_policy":{"contentType":")" +
                    std::string(length, 'a') + R"(","data":"eyJ2ZXJzaW9uIjoiMS4wLjAiLCJhbnlPZiI6W119"}})");
  };
  EXPECT_EQ(make(255).status, 200) << make(255).text;
  EXPECT_EQ(make(256).status, 400);
}

}  // namespace
}  // namespace merlon::vault
