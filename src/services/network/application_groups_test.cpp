// Application security groups: a rule means their members at every moment, and Azure's rules about them hold.
#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

using machine::Access;

class ApplicationGroups : public NetworkFixture {
 protected:
  static inline const std::string kOnLink = "onlink-10.9.0.0-24/subnets/default";
  Answer put_nic(const std::string& name, const std::string& address, const std::vector<std::string>& groups,
                 const std::string& subnet = kOnLink) {
    return put(kProvider + "networkInterfaces/" + name, nic_body(subnet, address, groups));
  }
  static std::string to_any() { return R"("destinationAddressPrefix":"*")"; }
  static std::string deny_all() {
    return rule_json("deny", 4000, "Deny", R"("sourceAddressPrefix":"*",)" + to_any());
  }
};

TEST_F(ApplicationGroups, RulesFollowTheMembers) {
  const auto vm = enrol("m1", "10.9.0.5");
  make_application_group("web");
  const Answer group = put_security_group(
      "m1-nsg",
      deny_all() + "," + rule_json("web", 100, "Allow", group_named("source", "WEB") + "," + to_any()));
  ASSERT_EQ(group.status, 200) << group.text;
  EXPECT_EQ(verdict(vm, "10.9.0.20", "10.9.0.5").rule, "deny") << "an empty group matches nobody";

  ASSERT_EQ(put_nic("a", "10.9.0.20", {"web"}).status, 201);
  EXPECT_EQ(verdict(vm, "10.9.0.20", "10.9.0.5").rule, "web");
  ASSERT_EQ(put_nic("a", "10.9.0.21", {"web"}).status, 200);
  EXPECT_EQ(verdict(vm, "10.9.0.20", "10.9.0.5").rule, "deny") << "the member has another address now";
  EXPECT_EQ(verdict(vm, "10.9.0.21", "10.9.0.5").rule, "web");
  const auto before = desired(vm).version;
  ASSERT_EQ(put_nic("a", "10.9.0.21", {"web"}).status, 200);
  EXPECT_EQ(desired(vm).version, before) << "nothing changed, nothing is sent";
  ASSERT_EQ(put_nic("a", "10.9.0.21", {}).status, 200);
  EXPECT_EQ(verdict(vm, "10.9.0.21", "10.9.0.5").rule, "deny");
  ASSERT_EQ(put_nic("a", "10.9.0.21", {"web"}).status, 200);
  ASSERT_EQ(remove(kProvider + "networkInterfaces/a").status, 200);
  EXPECT_EQ(verdict(vm, "10.9.0.21", "10.9.0.5").rule, "deny") << "a deleted interface is no member";
}

TEST_F(ApplicationGroups, AMachineThatLeavesIsForgottenByTheOthers) {
  const auto vm = enrol("m1", "10.9.0.5");
  enrol("m2", "10.9.0.6");
  make_application_group("web");
  ASSERT_EQ(put_security_group(
                "m1-nsg", deny_all() + "," +
                              rule_json("web", 100, "Allow", group_named("source", "web") + "," + to_any()))
                .status,
            200);
  JsonObject nic = get(kProvider + "networkInterfaces/m2-nic").body;
  JsonObject& configuration = nic["properties"]
                                  .as_object()["ipConfigurations"]
                                  .as_array()
                                  .front()
                                  .as_object()["properties"]
                                  .as_object();
  configuration["applicationSecurityGroups"] =
      JsonArray{JsonObject{{"id", kProvider + "applicationSecurityGroups/web"}}};
  ASSERT_EQ(put(kProvider + "networkInterfaces/m2-nic", to_text(nic)).status, 200);
  EXPECT_EQ(verdict(vm, "10.9.0.6", "10.9.0.5").access, Access::allow);
  ASSERT_LT(remove(kGroup + "/providers/Merlon.Machines/machines/m2").status, 300);
  EXPECT_EQ(verdict(vm, "10.9.0.6", "10.9.0.5").access, Access::deny);
  EXPECT_EQ(remove(kProvider + "applicationSecurityGroups/web").code(),
            "InUseApplicationSecurityGroupCannotBeDeleted")
      << "a rule still names it";
  ASSERT_EQ(put_security_group("m1-nsg", "").status, 200);
  EXPECT_EQ(remove(kProvider + "applicationSecurityGroups/web").status, 200);
}

TEST_F(ApplicationGroups, AzuresRulesAboutNetworks) {
  make_network("n1", "10.1.0.0/24");
  make_network("n2", "10.2.0.0/24");
  for (const char* name : {"one", "two", "three"}) make_application_group(name);
  ASSERT_EQ(put_nic("a", "10.1.0.4", {"one"}, "n1/subnets/a").status, 201);
  const Answer other = put_nic("b", "10.2.0.4", {"one"}, "n2/subnets/a");
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.code(), "AllNetworkInterfacesInApplicationSecurityGroupMustBeFromSameVnet");
  EXPECT_EQ(get(kProvider + "networkInterfaces/b").status, 404) << "nothing of it was kept";

  ASSERT_EQ(put_nic("b", "10.2.0.4", {"two"}, "n2/subnets/a").status, 201);
  const std::string both = group_named("source", "one") + "," + group_named("destination", "two");
  EXPECT_EQ(put_security_group("g", rule_json("r", 100, "Allow", both)).code(),
            "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet");
  // The rule first, the member after it: refused all the same.
  const std::string later = group_named("source", "one") + "," + group_named("destination", "three");
  ASSERT_EQ(put_security_group("g", rule_json("r", 100, "Allow", later)).status, 201);
  EXPECT_EQ(put_nic("c", "10.2.0.5", {"three"}, "n2/subnets/a").code(),
            "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet");
  EXPECT_EQ(put_nic("c", "10.1.0.5", {"three"}, "n1/subnets/a").status, 201);
}

TEST_F(ApplicationGroups, WhatARuleOrAnInterfaceCannotName) {
  make_network("n1", "10.1.0.0/24");
  make_application_group("one");
  const std::string mixed =
      group_named("source", "one") + R"(,"sourceAddressPrefix":"10.0.0.0/8",)" + to_any();
  EXPECT_EQ(put_security_group("g", rule_json("r", 100, "Allow", mixed)).code(),
            "SecurityRuleParameterContainsBothSingularAndPlural");
  EXPECT_EQ(
      put_security_group("g", rule_json("r", 100, "Allow", group_named("source", "none") + "," + to_any()))
          .code(),
      "InvalidResourceReference");
  const std::string network =
      R"("sourceApplicationSecurityGroups":[{"id":")" + kProvider + R"(virtualNetworks/n1"}],)" + to_any();
  EXPECT_EQ(put_security_group("g", rule_json("r", 100, "Allow", network)).code(),
            "InvalidResourceReference");

  std::vector<std::string> many;
  for (int i = 0; i < 21; ++i) {
    many.push_back("m" + std::to_string(i));
    make_application_group(many.back());
  }
  EXPECT_EQ(put_nic("a", "10.1.0.4", many, "n1/subnets/a").code(),
            "ApplicationSecurityGroupsPerIpConfigurationLimitReached");
  const std::string subnet = kProvider + "virtualNetworks/n1/subnets/a";
  const Answer uneven = put(
      kProvider + "networkInterfaces/a",
      R"({"location":"local","properties":{"ipConfigurations":[{"name":"x","properties":{"subnet":{"id":")" +
          subnet + R"("},"applicationSecurityGroups":[{"id":")" + kProvider +
          R"(applicationSecurityGroups/one"}]}},{"name":"y","properties":{"subnet":{"id":")" + subnet +
          R"("}}}]}})");
  EXPECT_EQ(uneven.code(), "AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups");
}

TEST_F(ApplicationGroups, NamingOneTakesTheRightToJoinIt) {
  make_network("n1", "10.1.0.0/24");
  make_application_group("one");
  ASSERT_EQ(put_security_group("g", "").status, 201);
  ASSERT_EQ(put_nic("a", "10.1.0.4", {}, "n1/subnets/a").status, 201);
  // Contributor of the group and of the subnet's network, and no right on the application security group.
  const std::string token =
      make_person("netops", "4d97b98b-1d4f-4787-a291-c67834d212e7", kProvider + "networkSecurityGroups/g");
  const Answer rule = send_as(
      token, "PUT", kProvider + "networkSecurityGroups/g/securityRules/r",
      rule_json("r", 100, "Allow", group_named("source", "one") + R"(,"destinationAddressPrefix":"*")"));
  EXPECT_EQ(rule.status, 403) << rule.text;
  EXPECT_EQ(rule.code(), "LinkedAuthorizationFailed");
}

}  // namespace
}  // namespace merlon::network
