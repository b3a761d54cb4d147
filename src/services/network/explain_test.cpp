// The questions over HTTP, against the obvious evaluator: `explain`, IP flow verify and the effective rules
// answer what the rules, as Azure's JSON has them, say.
#include "services/network/network_fixture.h"
#include "services/network/test_world.h"

namespace merlon::network {
namespace {

std::string with_ids(const JsonArray& rules) {
  std::string text = to_text(Json(rules));
  const std::string id = kProvider + "applicationSecurityGroups/";
  for (size_t at = text.find("/asg/"); at != std::string::npos; at = text.find("/asg/", at + id.size()))
    text.replace(at, 5, id);
  return text;
}

class Questions : public NetworkFixture {
 protected:
  static inline const std::string kOnLink = kProvider + "virtualNetworks/onlink-10.1.0.0-24";
  static inline const std::string kVm = kGroup + "/providers/Microsoft.Compute/virtualMachines/m1";

  // One machine with both families, a group at its subnet and one at its interface, two application security
  // groups with members, service tags and a peer.
  test::World make_world() {
    enrol("m1", std::vector<std::string>{"10.1.0.4/24", "fd00:1::4/64"});
    test::RandomWorld random(1);
    test::World world = random.facts();
    world.virtual_network = {"10.1.0.0/24", "fd00:1::/64", "10.2.0.0/23"};
    world.groups = {{"Web", {"10.1.0.5", "10.1.0.7"}}, {"Db", {"10.1.0.9"}}, {"Empty", {}}};
    int number = 0;
    for (const auto& [group, addresses] : world.groups) {
      make_application_group(group);
      for (const std::string& address : addresses)
        make(kProvider + "networkInterfaces/member" + std::to_string(number++),
             nic_body("onlink-10.1.0.0-24/subnets/default", address, {group}));
    }
    JsonArray values;
    for (const auto& [tag, prefixes] : world.tags)
      values.push_back(JsonObject{
          {"name", tag},
          {"properties", JsonObject{{"addressPrefixes", JsonArray(prefixes.begin(), prefixes.end())}}}});
    make(kSubscription + "/providers/Merlon.Network/serviceTagSets/test",
         to_text(JsonObject{{"values", values}}));
    EXPECT_EQ(put_security_group("subnet-nsg", "").status, 201);
    Answer network = get(kOnLink);
    network.body["properties"]
        .as_object()["subnets"]
        .as_array()[0]
        .as_object()["properties"]
        .as_object()["networkSecurityGroup"] =
        JsonObject{{"id", kProvider + "networkSecurityGroups/subnet-nsg"}};
    make(kOnLink, to_text(network.body));
    make_network("peer", "10.2.0.0/23");
    const std::string peer = kProvider + "virtualNetworks/peer";
    for (const auto& [from, to] : {std::pair(kOnLink, peer), std::pair(peer, kOnLink)})
      make(from + "/virtualNetworkPeerings/p",
           R"({"properties":{"allowVirtualNetworkAccess":true,"remoteVirtualNetwork":{"id":")" + to +
               R"("}}})");
    make(kProvider + "networkWatchers/nw", R"({"location":"local"})");
    // Rules name the groups by full id: so does the evaluator's world.
    std::map<std::string, std::vector<std::string>> by_id;
    for (auto& [group, addresses] : world.groups)
      by_id[kProvider + "applicationSecurityGroups/" + group] = addresses;
    world.groups = std::move(by_id);
    return world;
  }
  Answer explain(const machine::Flow& flow) {
    return post(kGroup + "/providers/Merlon.Machines/machines/m1/explain",
                to_text(JsonObject{
                    {flow.inbound ? "from" : "to", (flow.inbound ? flow.source : flow.destination).text()},
                    {"local", (flow.inbound ? flow.destination : flow.source).text()},
                    {"port", flow.destination_port},
                    {"sourcePort", flow.source_port},
                    {"protocol", machine::protocol_text(flow.protocol)}}));
  }
  Answer verify(const machine::Flow& flow) {
    const bool in = flow.inbound;
    return post(
        kProvider + "networkWatchers/nw/ipFlowVerify",
        to_text(JsonObject{{"targetResourceId", kVm},
                           {"direction", in ? "Inbound" : "Outbound"},
                           {"protocol", flow.protocol == machine::Protocol::udp ? "UDP" : "TCP"},
                           {"localPort", std::to_string(in ? flow.destination_port : flow.source_port)},
                           {"remotePort", std::to_string(in ? flow.source_port : flow.destination_port)},
                           {"localIPAddress", (in ? flow.destination : flow.source).text()},
                           {"remoteIPAddress", (in ? flow.source : flow.destination).text()}}));
  }
};

TEST_F(Questions, AgreeWithAnObviousEvaluator) {
  const test::World world = make_world();
  size_t verified = 0;
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    test::RandomWorld random(seed);
    std::vector<test::Layer> layers;
    for (const char* name : {"subnet-nsg", "m1-nsg"}) {
      const std::string rules = with_ids(random.rules());
      const Answer made = put_security_group(name, rules.substr(1, rules.size() - 2));
      ASSERT_EQ(made.status, 200) << made.text;
      layers.push_back({kProvider + "networkSecurityGroups/" + name, must(parse_json(rules)).as_array()});
    }
    for (int i = 0; i < 25; ++i) {
      const machine::Flow flow = random.flow();
      if (flow.protocol == machine::Protocol::esp || flow.protocol == machine::Protocol::ah) continue;
      const test::Decision obvious = test::decide(world, layers, flow);
      const std::string where = "seed " + std::to_string(seed) + ": " + test::text_of(flow);
      const Answer explained = explain(flow);
      ASSERT_EQ(explained.status, 200) << explained.text;
      ASSERT_EQ(explained.at("access"), obvious.allowed ? "Allow" : "Deny") << where << explained.text;
      ASSERT_EQ(explained.at("ruleName"), obvious.rule) << where;
      ASSERT_EQ(explained.at("networkSecurityGroupId"), obvious.layer) << where;
      if (flow.protocol == machine::Protocol::icmp) continue;
      const Answer answer = verify(flow);
      ASSERT_EQ(answer.status, 200) << answer.text;
      ASSERT_EQ(answer.at("access"), obvious.allowed ? "Allow" : "Deny") << where;
      const bool by_default = !obvious.rule.starts_with("r");
      ASSERT_EQ(answer.at("ruleName"),
                (by_default ? "defaultSecurityRules/" : "securityRules/") + obvious.rule)
          << where;
      ++verified;
    }
  }
  EXPECT_GT(verified, 50U);
}

TEST_F(Questions, EffectiveRulesSayWhatNamesStandFor) {
  make_world();
  const Answer made = put_security_group(
      "m1-nsg", rule_json("web", 100, "Allow",
                          group_named("source", "Web") + R"(,"destinationAddressPrefix":"10.1.0.4")") +
                    "," +
                    rule_json("tagged", 200, "Deny",
                              R"("sourceAddressPrefix":"corp-offices","destinationAddressPrefix":"*")"));
  ASSERT_EQ(made.status, 200) << made.text;
  const Answer effective = post(kProvider + "networkInterfaces/m1-nic/effectiveNetworkSecurityGroups");
  ASSERT_EQ(effective.status, 200) << effective.text;
  const JsonArray& groups = effective.body.at("value").as_array();
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(string_at(groups[0].as_object(), "association.subnet.id"), kOnLink + "/subnets/default");
  EXPECT_EQ(string_at(groups[1].as_object(), "association.networkInterface.id"),
            kProvider + "networkInterfaces/m1-nic");
  const JsonArray& rules = groups[1].as_object().at("effectiveSecurityRules").as_array();
  ASSERT_EQ(rules.size(), 8U) << "two of one's own, three default ones each way";
  const JsonObject& web = rules[0].as_object();
  EXPECT_EQ(string_at(web, "name"), "securityRules/web");
  EXPECT_EQ(to_text(web.at("expandedSourceAddressPrefix")), R"(["10.1.0.5/32","10.1.0.7/32"])");
  EXPECT_EQ(string_at(web, "destinationAddressPrefix"), "10.1.0.4/32");
  EXPECT_FALSE(web.contains("expandedDestinationAddressPrefix"));
  EXPECT_EQ(string_at(web, "destinationPortRange"), "443-443");
  EXPECT_EQ(string_at(rules[2].as_object(), "name"), "defaultSecurityRules/AllowVnetInBound");
  EXPECT_EQ(to_text(*find(groups[1].as_object(), "tagMap.VirtualNetwork")),
            R"(["10.1.0.0/24","10.2.0.0/23","168.63.129.16/32","fd00:1::/64"])");
  EXPECT_NE(find(groups[1].as_object(), "tagMap.corp-offices"), nullptr);

  const Answer view =
      post(kProvider + "networkWatchers/nw/securityGroupView", R"({"targetResourceId":")" + kVm + R"("})");
  ASSERT_EQ(view.status, 200) << view.text;
  const JsonObject& nic = view.body.at("networkInterfaces").as_array().front().as_object();
  EXPECT_EQ(string_at(nic, "securityRuleAssociations.subnetAssociation.id"), kOnLink + "/subnets/default");
  EXPECT_EQ(array_at(nic, "securityRuleAssociations.networkInterfaceAssociation.securityRules")->size(), 2U);
  EXPECT_EQ(array_at(nic, "securityRuleAssociations.defaultSecurityRules")->size(), 6U);
}

TEST_F(Questions, WhoMayAskAndWhatCannotBeAsked) {
  make_world();
  machine::Flow flow;
  flow.source = *IpAddress::parse("8.8.8.8");
  flow.destination = *IpAddress::parse("10.1.0.99");
  EXPECT_EQ(verify(flow).status, 400) << "not an address of the machine";
  EXPECT_EQ(post(kProvider + "networkInterfaces/none/effectiveNetworkSecurityGroups").status, 404);
  const std::string body =
      R"({"targetResourceId":")" + kVm +
      R"(","direction":"Inbound","protocol":"TCP","localPort":"22","remotePort":"*","localIPAddress":"10.1.0.4","remoteIPAddress":"8.8.8.8"})";
  EXPECT_EQ(post(kProvider + "networkWatchers/none/ipFlowVerify", body).status, 404);
  EXPECT_EQ(post(kProvider + "networkWatchers/nw/ipFlowVerify", body).at("access"), "Deny");
  for (const auto& [from, to] : {std::pair(R"("22")", R"("*")"), std::pair(R"("22")", R"("65536")"),
                                 std::pair("8.8.8.8", "fd00::1"), std::pair("TCP", "ESP")}) {
    std::string wrong = body;
    wrong.replace(wrong.find(from), std::string(from).size(), to);
    EXPECT_EQ(post(kProvider + "networkWatchers/nw/ipFlowVerify", wrong).status, 400) << wrong;
  }
  // May ask the watcher, may not read the machine.
  const std::string token =
      make_person("netops", "4d97b98b-1d4f-4787-a291-c67834d212e7", kProvider + "networkWatchers/nw");
  const Answer denied = send_as(token, "POST", kProvider + "networkWatchers/nw/ipFlowVerify", body);
  EXPECT_EQ(denied.status, 403) << denied.text;
  EXPECT_EQ(denied.code(), "LinkedAuthorizationFailed");
  const std::string reader = make_person("reader", kReader, kSubscription);
  EXPECT_EQ(send_as(reader, "POST", kProvider + "networkWatchers/nw/ipFlowVerify", body).status, 403);
}

}  // namespace
}  // namespace merlon::network
