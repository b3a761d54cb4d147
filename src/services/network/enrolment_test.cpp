// Machines that enrol onto what a person has described before; and what a machine's interfaces show of it.
#include <gmock/gmock.h>

#include "base/text.h"
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

TEST_F(Enrolment, WithAMachineGoesWhatItsRemoverMayDelete) {
  const std::string theirs = kSubscription + "/resourceGroups/rg-mine";
  make(theirs, R"({"location":"local"})");
  make_network("net", "10.9.0.0/24");
  make(nic("victim"), nic_body("net/subnets/a", "10.9.0.50"));
  make(nic("kept"), nic_body("net/subnets/a", "10.9.0.51"));
  // Virtual Machine Contributor of a group of their own, and of the interface no more than to use it.
  const std::string mallory = make_person("mallory", "9980e02c-c2be-4d73-94e8-173b1dc7cf3c", theirs);
  access::RoleDefinition joiner;
  joiner.id = Uuid::generate(random_);
  joiner.name = "Joiner";
  joiner.permissions.emplace_back();
  joiner.permissions.back().actions = {"Microsoft.Network/networkInterfaces/join/action",
                                       "Microsoft.Network/networkInterfaces/read"};
  joiner.assignable_scopes = {kSubscription};
  must(store::write_value<access::RoleDefinition>(*store_,
                                                  [&](auto& tx) { return access_->put_role(tx, joiner); }));
  assign(person("mallory"), joiner.id.text().c_str(), nic("victim"));
  const std::string machine = theirs + "/providers/Microsoft.Compute/virtualMachines/m9";
  const auto body = [](const std::string& interface, const std::string& more = {}) {
    return R"({"location":"local","properties":{"networkProfile":{"networkInterfaces":[{"id":")" + interface +
           "\"" + more + "}]}}}";
  };
  const Answer made = send_as(mallory, "PUT", machine, body(nic("victim")));
  ASSERT_EQ(made.status, 201) << made.text;
  ASSERT_EQ(get(nic("victim")).at("properties.virtualMachine.id"), machine);
  ASSERT_LT(send_as(mallory, "DELETE", machine).status, 300);
  const Answer left = get(nic("victim"));
  EXPECT_EQ(left.status, 200) << "nobody asked whether they may delete it";
  EXPECT_EQ(left.at("properties.virtualMachine.id"), "");
  EXPECT_LT(remove(nic("victim")).status, 300) << "nothing holds it";

  make(machine, body(nic("kept"), R"(,"properties":{"deleteOption":"Detach"})"));
  ASSERT_LT(remove(machine).status, 300);
  EXPECT_EQ(get(nic("kept")).status, 200);
  make(machine, body(nic("kept")));
  ASSERT_LT(remove(machine).status, 300);
  EXPECT_EQ(get(nic("kept")).status, 404);
}

TEST_F(Enrolment, WhoMayWriteTheMachineAloneDoesNotChangeWhatGuardsIt) {
  const auto machine = enrol("m1", "10.9.0.5");
  make(nic("bare"), nic_body("onlink-10.9.0.0-24/subnets/default", "10.9.0.6"));
  access::RoleDefinition compute_only;
  compute_only.id = Uuid::generate(random_);
  compute_only.name = "Compute alone";
  compute_only.permissions.emplace_back();
  compute_only.permissions.back().actions = {"Microsoft.Compute/*",
                                             "Microsoft.Network/networkInterfaces/join/action"};
  compute_only.assignable_scopes = {kSubscription};
  must(store::write_value<access::RoleDefinition>(
      *store_, [&](auto& tx) { return access_->put_role(tx, compute_only); }));
  const std::string mallory = make_person("mallory", compute_only.id.text().c_str(), kGroup);
  const auto change = [&](const std::string& token, const std::vector<std::string>& nics) {
    std::string listed;
    for (const std::string& name : nics)
      listed += (listed.empty() ? R"({"id":")" : R"(,{"id":")") + nic(name) + R"("})";
    return send_as(token, "PATCH", vm("m1"),
                   R"({"properties":{"networkProfile":{"networkInterfaces":[)" + listed + "]}}}");
  };
  EXPECT_EQ(change(mallory, {}).status, 403);
  EXPECT_EQ(change(mallory, {"bare"}).status, 403);
  EXPECT_EQ(change(mallory, {"bare", "m1-nic"}).status, 403) << "not even before it, as the primary one";
  EXPECT_EQ(send_as(mallory, "PATCH", vm("m1"), R"({"tags":{"a":"b"}})").status, 200);
  EXPECT_EQ(change(owner_, {}).code(), "VirtualMachineMustHaveAtLeastOneNetworkInterface");
  EXPECT_EQ(verdict(machine, "192.0.2.1", "10.9.0.5").rule, "DenyAllInBound");
  EXPECT_EQ(desired(machine).interfaces.size(), 1U);
  make_network("elsewhere", "10.9.0.0/16");
  make(nic("twin"), nic_body("elsewhere/subnets/a", "10.9.0.5"));
  EXPECT_EQ(change(owner_, {"twin", "m1-nic"}).code(), "PrivateIPAddressInUse");
  EXPECT_EQ(change(owner_, {"m1-nic", "bare"}).status, 200);
  EXPECT_EQ(desired(machine).interfaces.size(), 2U);
  EXPECT_EQ(change(owner_, {"m1-nic"}).status, 200);
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

class Links : public NetworkFixture {
 protected:
  static inline const std::string kOnLink = kProvider + "virtualNetworks/onlink-10.9.0.0-24";
  std::vector<std::string> space(const std::string& network) {
    std::vector<std::string> texts;
    const Answer shown = get(network);
    if (const JsonArray* prefixes = array_at(shown.body, "properties.addressSpace.addressPrefixes"))
      for (const Json& prefix : *prefixes) texts.emplace_back(prefix.as_string());
    return texts;
  }
};

TEST_F(Links, AMachineThatEnrolsWidensNoNetwork) {
  const auto victim = enrol("victim", "10.9.0.5");
  const auto before = get(kOnLink).text;
  ASSERT_EQ(verdict(victim, "203.0.113.66", "10.9.0.5").rule, "DenyAllInBound");
  enrol("mallory", std::vector<std::string>{"10.9.0.77/24", "192.0.2.1/0", "172.16.0.1/1", "2001:db8::1/3"});
  enrol("mallory2", std::vector<std::string>{"10.9.0.78/24", "203.0.113.9/8", "198.51.100.1/24"});
  EXPECT_EQ(verdict(victim, "203.0.113.66", "10.9.0.5").rule, "DenyAllInBound");
  EXPECT_EQ(verdict(victim, "198.51.100.66", "10.9.0.5").rule, "DenyAllInBound");
  EXPECT_EQ(verdict(victim, "10.9.0.77", "10.9.0.5").rule, "AllowVnetInBound") << "they share a link";
  EXPECT_EQ(get(kOnLink).text, before);
}

TEST_F(Links, TheFirstMachineOfANetworkDoesNotSayWhatElseIsInIt) {
  enrol("mallory", std::vector<std::string>{"10.9.0.77/24", "203.0.113.9/8"});
  const auto victim = enrol("victim", "10.9.0.5");
  EXPECT_EQ(verdict(victim, "203.0.113.66", "10.9.0.5").rule, "DenyAllInBound");
  EXPECT_THAT(space(kOnLink), testing::ElementsAre("10.9.0.0/24"));
}

TEST_F(Links, NeighboursOfEachOfAMachinesLinksAreInItsVirtualNetwork) {
  const auto one = enrol("one", std::vector<std::string>{"10.9.0.5/24", "fd09::5/64", "fd0a::1/128"});
  const auto two = enrol("two", std::vector<std::string>{"10.9.0.6/24", "fd09::6/64"});
  const auto three = enrol("three", "10.9.0.7");
  const std::string nic = kProvider + "networkInterfaces/one-nic";
  for (const size_t number : {0U, 1U, 2U})
    EXPECT_EQ(
        ascii_lower(string_at(array_at(get(nic).body, "properties.ipConfigurations")->at(number).as_object(),
                              "properties.subnet.id")
                        .value_or("")),
        ascii_lower(kOnLink + "/subnets/default"))
        << "one interface, one subnet: its security group guards all addresses";
  EXPECT_EQ(verdict(one, "fd09::6", "fd09::5").rule, "AllowVnetInBound");
  EXPECT_EQ(verdict(two, "fd09::5", "fd09::6").rule, "AllowVnetInBound");
  EXPECT_EQ(verdict(two, "10.9.0.7", "10.9.0.6").rule, "AllowVnetInBound");
  EXPECT_EQ(verdict(one, "fd0b::6", "fd09::5").rule, "DenyAllInBound");
  EXPECT_THAT(space(kOnLink), testing::ElementsAre("10.9.0.0/24"));
  // It stays so when a person writes the interface back, and when its network changes.
  ASSERT_EQ(put(nic, get(nic).text).status, 200) << put(nic, get(nic).text).text;
  Answer network = get(kOnLink);
  ASSERT_EQ(put(kOnLink, network.text).status, 200);
  EXPECT_EQ(verdict(one, "fd09::6", "fd09::5").rule, "AllowVnetInBound");
  EXPECT_EQ(desired(one).interfaces.at(0).addresses.size(), 3U);
  const Answer routes = post(nic + "/effectiveRouteTable");
  EXPECT_NE(routes.text.find("fd09::/64"), std::string::npos) << routes.text;
}

TEST_F(Links, ANetworkThatAlreadySpansSeveralLinksTakesMachinesOfThem) {
  make(kOnLink,
       R"({"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.9.0.0/24","fd09::/64"]},)"
       R"("subnets":[{"name":"default","properties":{"addressPrefixes":["10.9.0.0/24","fd09::/64"]}}]}})");
  const auto one = enrol("one", std::vector<std::string>{"10.9.0.5/24", "fd09::5/64"});
  EXPECT_EQ(verdict(one, "fd09::6", "fd09::5").rule, "AllowVnetInBound");
  EXPECT_THAT(space(kOnLink), testing::ElementsAre("10.9.0.0/24", "fd09::/64"));
}

TEST_F(Links, APrefixThatIsNoLinksIsTheAddressAlone) {
  const auto mallory = enrol("mallory", std::vector<std::string>{"10.9.0.77/0"});
  EXPECT_EQ(verdict(mallory, "203.0.113.66", "10.9.0.77").rule, "DenyAllInBound");
  EXPECT_THAT(space(kProvider + "virtualNetworks/onlink-10.9.0.77-32"), testing::ElementsAre("10.9.0.77/32"));
}

TEST_F(Links, AnInterfacesNameIsNoPath) {
  const auto enrolled = enrol_interfaces("m1", {{.name = "eth0",
                                                 .mac = "02:00:00:00:00:01",
                                                 .addresses = {{*IpAddress::parse("10.9.0.5"), 24}},
                                                 .default_route = true},
                                                {.name = "x/ipConfigurations/y",
                                                 .mac = "02:00:00:00:00:02",
                                                 .addresses = {{*IpAddress::parse("10.9.1.5"), 24}},
                                                 .default_route = false}});
  EXPECT_EQ(enrolled.status, 400) << enrolled.body;
  const auto odd = enrol_interfaces("m1", {{.name = "br:0%x@y",
                                            .mac = "02:00:00:00:00:01",
                                            .addresses = {{*IpAddress::parse("10.9.0.5"), 24}},
                                            .default_route = true},
                                           {.name = "we?ird",
                                            .mac = "02:00:00:00:00:02",
                                            .addresses = {{*IpAddress::parse("10.9.1.5"), 24}},
                                            .default_route = false}});
  EXPECT_EQ(odd.status, 201) << odd.body;
  EXPECT_EQ(get(kProvider + "networkInterfaces/m1-we-ird").status, 200);
}

}  // namespace
}  // namespace merlon::network
