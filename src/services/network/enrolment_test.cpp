// Machines that enrol onto what a person has described before; and what a machine's interfaces show of it.
#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

class Enrolment : public NetworkFixture {
 protected:
  static std::string nic(const std::string& name) { return kProvider + "networkInterfaces/" + name; }
  static std::string vm(const std::string& name) {
    return kGroup + "/providers/Microsoft.Compute/virtualMachines/" + name;
  }
  void describe(const std::string& machine, const std::vector<std::string>& nics) {
    std::string listed;
    for (const std::string& name : nics)
      listed += (listed.empty() ? R"({"id":")" : R"(,{"id":")") + nic(name) + R"("})";
    make(vm(machine), R"({"location":"local","tags":{"owner":"ops"},"properties":{"networkProfile":)"
                      R"({"networkInterfaces":[)" +
                          listed + "]}}}");
  }
  static std::string address(const Answer& nic, size_t number) {
    return string_at(array_at(nic.body, "properties.ipConfigurations")->at(number).as_object(),
                     "properties.privateIPAddress")
        .value_or("");
  }
};

TEST_F(Enrolment, WhatAPersonWroteOfAnInterfaceStays) {
  make_network("net", "10.9.0.0/24");
  ASSERT_EQ(
      put_security_group("mine", rule_json("web", 100, "Allow",
                                           R"("sourceAddressPrefix":"*","destinationAddressPrefix":"*")"))
          .status,
      201);
  make(nic("front"),
       R"({"location":"local","tags":{"team":"web"},"properties":{"networkSecurityGroup":{"id":")" +
           kProvider +
           R"(networkSecurityGroups/mine"},"enableIPForwarding":true,"ipConfigurations":[{"name":"main",)"
           R"("properties":{"subnet":{"id":")" +
           kProvider + R"(virtualNetworks/net/subnets/a"}}}]}})");
  describe("m1", {"front"});
  ASSERT_EQ(get(nic("front")).at("properties.virtualMachine.id"), vm("m1"));
  const auto machine = enrol("m1", "10.9.0.77");
  const Answer shown = get(nic("front"));
  ASSERT_EQ(shown.status, 200);
  EXPECT_EQ(shown.at("tags.team"), "web");
  EXPECT_EQ(shown.at("properties.networkSecurityGroup.id"), kProvider + "networkSecurityGroups/mine");
  EXPECT_TRUE(bool_at(shown.body, "properties.enableIPForwarding").value_or(false));
  EXPECT_EQ(address(shown, 0), "10.9.0.77") << "an address that was only given out becomes the machine's";
  EXPECT_EQ(shown.at("properties.macAddress"), "02:00:00:00:00:01");
  EXPECT_EQ(get(nic("m1-nic")).status, 404) << "nothing is made beside what was described";
  EXPECT_EQ(get(kProvider + "networkSecurityGroups/m1-nsg").status, 404);
  EXPECT_EQ(array_at(get(vm("m1")).body, "properties.networkProfile.networkInterfaces")->size(), 1U);
  EXPECT_EQ(get(vm("m1")).at("tags.owner"), "ops");
  EXPECT_EQ(verdict(machine, "192.0.2.1", "10.9.0.77").rule, "web");
}

TEST_F(Enrolment, AStaticAddressStaysAndTheMachinesOwnComesBesideIt) {
  make_network("net", "10.9.0.0/24");
  make(nic("m1-nic"),
       R"({"location":"local","properties":{"ipConfigurations":[{"name":"ipconfig1","properties":{)"
       R"("privateIPAddress":"10.9.0.50","privateIPAllocationMethod":"Static","subnet":{"id":")" +
           kProvider + R"(virtualNetworks/net/subnets/a"}}}]}})");
  const auto machine = enrol("m1", "192.168.7.3");
  const Answer shown = get(nic("m1-nic"));
  EXPECT_EQ(address(shown, 0), "10.9.0.50");
  EXPECT_EQ(address(shown, 1), "192.168.7.3");
  EXPECT_EQ(shown.at("properties.networkSecurityGroup.id"), kProvider + "networkSecurityGroups/m1-nsg")
      << "an interface without a group gets the machine's";
  EXPECT_EQ(desired(machine).interfaces.at(0).addresses.size(), 2U);
}

TEST_F(Enrolment, AnInterfaceOfAnotherMachineIsNotTaken) {
  make_network("net", "10.9.0.0/24");
  make(nic("m1-nic"), nic_body("net/subnets/a", "10.9.0.50"));
  describe("other", {"m1-nic"});
  const Answer token = post(kGroup + "/providers/Merlon.Machines/enrolmentTokens", R"({"name":"m1"})");
  ASSERT_LT(token.status, 300);
  machine::EnrolRequest wanted;
  wanted.token = token.at("token");
  wanted.certificate_request_pem = must(
      crypto::make_request(must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256)), "merlon-agent"));
  wanted.facts.hostname = "m1";
  wanted.facts.boot_id = "b";
  wanted.facts.interfaces = {{.name = "eth0",
                              .mac = "02:00:00:00:00:02",
                              .addresses = {{*IpAddress::parse("10.9.0.60"), 24}},
                              .default_route = true}};
  net::Request request;
  request.method = "POST";
  request.path = request.target = "/agent/v1/enrol";
  request.body = to_text(wanted.to_json());
  request.peer = *IpAddress::parse("192.0.2.9");
  request.request_id = Uuid::generate(random_).text();
  net::Response response;
  machines_->handle(std::move(request),
                    net::Responder([&](net::Response answer) { response = std::move(answer); }));
  EXPECT_EQ(response.status, 409) << response.body;
  EXPECT_NE(response.body.find("NicInUse"), std::string::npos);
  EXPECT_EQ(get(nic("m1-nic")).at("properties.virtualMachine.id"), vm("other"));
}

TEST_F(Enrolment, PrimaryIsShownOfAMachinesInterfacesAlone) {
  make_network("net", "10.9.0.0/24");
  make(nic("one"), nic_body("net/subnets/a", "10.9.0.50"));
  make(nic("two"), nic_body("net/subnets/a", "10.9.0.51"));
  EXPECT_FALSE(bool_at(get(nic("one")).body, "properties.primary").has_value());
  describe("m1", {"one", "two"});
  EXPECT_EQ(bool_at(get(nic("one")).body, "properties.primary"), true);
  EXPECT_EQ(bool_at(get(nic("two")).body, "properties.primary"), false);
  describe("m1", {"two"});
  EXPECT_FALSE(bool_at(get(nic("one")).body, "properties.primary").has_value());
  EXPECT_TRUE(get(nic("one")).at("properties.virtualMachine.id").empty());
  EXPECT_EQ(bool_at(get(nic("two")).body, "properties.primary"), true);
}

TEST_F(Enrolment, FlushConnectionReachesTheMachine) {
  const auto machine = enrol("m1", "10.9.0.5");
  const std::string group = kProvider + "networkSecurityGroups/m1-nsg";
  EXPECT_EQ(bool_at(get(group).body, "properties.flushConnection"), false);
  EXPECT_FALSE(desired(machine).interfaces.at(0).flush_connections);
  make(group, R"({"location":"local","properties":{"flushConnection":true}})");
  EXPECT_TRUE(desired(machine).interfaces.at(0).flush_connections);
  make(group, R"({"location":"local","properties":{}})");
  EXPECT_FALSE(desired(machine).interfaces.at(0).flush_connections);
}

}  // namespace
}  // namespace merlon::network
