// Next hops, effective routes, route tables, and the diagnostic that explains a verdict.
#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

class NextHop : public NetworkFixture {
 protected:
  void SetUp() override {
    make(kProvider + "networkWatchers/w", R"({"location":"local"})");
    make_network("net", "10.9.0.0/24");
    make_network("far", "10.8.0.0/24");
    make(kProvider + "networkInterfaces/nic1", nic_body("net/subnets/a", "10.9.0.50"));
    make(kVm, R"({"location":"local","properties":{"networkProfile":{"networkInterfaces":[{"id":")" +
                  kProvider + R"(networkInterfaces/nic1"}]}}})");
  }
  static inline const std::string kVm = kGroup + "/providers/Microsoft.Compute/virtualMachines/vm1";
  static inline const std::string kTable = kProvider + "routeTables/rt";
  Answer ask(const std::string& to, const std::string& from = "10.9.0.50") {
    return post(kProvider + "networkWatchers/w/nextHop", R"({"targetResourceId":")" + kVm +
                                                             R"(","sourceIPAddress":")" + from +
                                                             R"(","destinationIPAddress":")" + to + R"("})");
  }
  std::string hop(const std::string& to) { return ask(to).at("nextHopType"); }
  static std::string route(const std::string& name, const std::string& prefix, const std::string& type,
                           const std::string& address = {}) {
    return R"({"name":")" + name + R"(","properties":{"addressPrefix":")" + prefix + R"(","nextHopType":")" +
           type + '"' + (address.empty() ? "" : R"(,"nextHopIpAddress":")" + address + '"') + "}}";
  }
  Answer put_table(const std::string& routes) {
    return put(kTable, R"({"location":"local","properties":{"routes":[)" + routes + "]}}");
  }
  void use_table() {
    make(kProvider + "virtualNetworks/net",
         R"({"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.9.0.0/24"]},"subnets":[)"
         R"({"name":"a","properties":{"addressPrefix":"10.9.0.0/24","routeTable":{"id":")" +
             kTable + R"("}}}]}})");
  }
};

TEST_F(NextHop, SystemRoutes) {
  EXPECT_EQ(hop("10.9.0.99"), "VnetLocal");
  EXPECT_EQ(hop("192.0.2.1"), "Internet");
  EXPECT_EQ(hop("10.8.0.1"), "None") << "private, and in no network that this one knows";
  EXPECT_EQ(hop("172.16.3.1"), "None");
  const Answer local = ask("10.9.0.99");
  EXPECT_EQ(local.at("routeTableId"), "System Route");
  const auto peer = [&](const std::string& from, const std::string& to) {
    make(kProvider + "virtualNetworks/" + from + "/virtualNetworkPeerings/p",
         R"({"properties":{"allowVirtualNetworkAccess":true,"remoteVirtualNetwork":{"id":")" + kProvider +
             "virtualNetworks/" + to + R"("}}})");
  };
  peer("net", "far");
  EXPECT_EQ(hop("10.8.0.1"), "None") << "one side alone is no peering";
  peer("far", "net");
  EXPECT_EQ(hop("10.8.0.1"), "VNetPeering");
}

TEST_F(NextHop, RoutesOfTheUsersOwnComeFirst) {
  ASSERT_EQ(put_table(route("all", "0.0.0.0/0", "VirtualAppliance", "10.9.0.4") + "," +
                      route("net", "10.9.0.0/24", "None") + "," + route("host", "10.9.0.7/32", "VnetLocal"))
                .status,
            201);
  EXPECT_EQ(hop("192.0.2.1"), "Internet") << "no subnet has the table yet";
  use_table();
  const Answer out = ask("192.0.2.1");
  EXPECT_EQ(out.at("nextHopType"), "VirtualAppliance");
  EXPECT_EQ(out.at("nextHopIpAddress"), "10.9.0.4");
  EXPECT_EQ(out.at("routeTableId"), kTable);
  EXPECT_EQ(hop("10.9.0.99"), "None");
  EXPECT_EQ(hop("10.9.0.7"), "VnetLocal");
  const Answer all = post(kProvider + "networkInterfaces/nic1/effectiveRouteTable");
  ASSERT_EQ(all.status, 200) << all.text;
  EXPECT_NE(all.text.find(R"("state":"Invalid")"), std::string::npos) << "what a route of one's own replaces";
  const Answer shown = get(kTable);
  EXPECT_EQ(string_at(array_at(shown.body, "properties.subnets")->front().as_object(), "id"),
            kProvider + "virtualNetworks/net/subnets/a");
  EXPECT_EQ(remove(kTable).code(), "InUseRouteTableCannotBeDeleted");
  ASSERT_EQ(remove(kTable + "/routes/all").status, 200);
  EXPECT_EQ(hop("192.0.2.1"), "Internet");
  make_network("net", "10.9.0.0/24");
  EXPECT_EQ(remove(kTable).status, 200);
  EXPECT_EQ(hop("10.9.0.99"), "VnetLocal");
}

TEST_F(NextHop, WrongRoutesAndQuestionsAreRefused) {
  EXPECT_EQ(put_table(route("a", "10.1.0.0/16", "VirtualAppliance")).code(), "NextHopIpAddressRequired");
  EXPECT_EQ(put_table(route("a", "10.1.0.0/16", "None", "10.9.0.4")).code(), "NextHopIpAddressNotAllowed");
  EXPECT_EQ(put_table(route("a", "10.1.0.0/33", "None")).code(), "InvalidAddressPrefixFormat");
  EXPECT_EQ(put_table(route("a", "10.1.0.0/16", "None") + "," + route("b", "10.1.0.0/16", "None")).code(),
            "RouteConflict");
  EXPECT_EQ(get(kTable).status, 404);
  EXPECT_EQ(ask("192.0.2.1", "10.9.0.51").code(), "InvalidParameter");
  EXPECT_EQ(ask("2001:db8::1").code(), "InvalidParameter");
  EXPECT_EQ(ask("nowhere").code(), "InvalidParameter");
  const std::string outsider = make_person("outsider", kReader, kGroup);
  EXPECT_EQ(send_as(outsider, "POST", kProvider + "networkWatchers/w/nextHop",
                    R"({"targetResourceId":"x","sourceIPAddress":"1","destinationIPAddress":"1"})")
                .status,
            403);
}

TEST_F(NextHop, TheDiagnosticNamesWhatMatched) {
  ASSERT_EQ(put_security_group("nsg", rule_json("web", 100, "Allow",
                                                R"("sourceAddressPrefix":"192.0.2.0/24",)"
                                                R"("destinationAddressPrefix":"*")"))
                .status,
            201);
  make(kProvider + "networkInterfaces/nic1",
       nic_body("net/subnets/a", "10.9.0.50", {},
                R"(,"networkSecurityGroup":{"id":")" + kProvider + R"(networkSecurityGroups/nsg"})"));
  const auto diagnose = [&](const std::string& from, const std::string& port) {
    return post(kProvider + "networkWatchers/w/networkConfigurationDiagnostic",
                R"({"targetResourceId":")" + kVm +
                    R"(","profiles":[{"direction":"Inbound","protocol":"TCP","source":")" + from +
                    R"(","destination":"10.9.0.50","destinationPort":")" + port + R"("}]})");
  };
  const Answer allowed = diagnose("192.0.2.9", "443");
  ASSERT_EQ(allowed.status, 200) << allowed.text;
  EXPECT_NE(allowed.text.find(R"("securityRuleAccessResult":"Allow")"), std::string::npos) << allowed.text;
  EXPECT_NE(allowed.text.find(R"("ruleName":"UserRule_web")"), std::string::npos);
  const Answer denied = diagnose("192.0.2.9", "22");
  EXPECT_NE(denied.text.find(R"("ruleName":"DefaultRule_DenyAllInBound")"), std::string::npos) << denied.text;
  EXPECT_NE(denied.text.find(R"("destinationPortMatched":false)"), std::string::npos);
  EXPECT_EQ(diagnose("192.0.2.9", "http").code(), "InvalidParameter");
}

}  // namespace
}  // namespace merlon::network
