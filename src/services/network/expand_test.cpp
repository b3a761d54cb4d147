// $expand, the tags of a PATCH, and what Azure shows that nobody has sent.
#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

class Shown : public NetworkFixture {
 protected:
  void SetUp() override {
    make_network("net", "10.9.0.0/24");
    ASSERT_EQ(put_security_group("nsg", "").status, 201);
    make(kNic, nic_body("net/subnets/a", "10.9.0.50", {},
                        R"(,"networkSecurityGroup":{"id":")" + kGroupId + R"("})"));
  }
  static inline const std::string kGroupId = kProvider + "networkSecurityGroups/nsg";
  static inline const std::string kNic = kProvider + "networkInterfaces/nic1";
  static std::string version() { return "?api-version=2024-05-01"; }
  static const JsonObject& first(const Answer& answer, std::string_view path) {
    return array_at(answer.body, path)->front().as_object();
  }
};

TEST_F(Shown, ExpandShowsWhatAReferenceNames) {
  const Answer plain = get(kGroupId);
  EXPECT_EQ(first(plain, "properties.networkInterfaces").size(), 1U);
  const Answer expanded = get(kGroupId + version() + "&$expand=subnets,networkInterfaces");
  ASSERT_EQ(expanded.status, 200) << expanded.text;
  EXPECT_EQ(string_at(first(expanded, "properties.networkInterfaces"), "name"), "nic1");
  EXPECT_EQ(string_at(expanded.body, "etag"), string_at(plain.body, "etag"));
  const Answer deeper = get(kNic + version() + "&$expand=networkSecurityGroup/networkInterfaces");
  EXPECT_EQ(deeper.at("properties.networkSecurityGroup.name"), "nsg");
  EXPECT_EQ(string_at(first(deeper, "properties.networkSecurityGroup.properties.networkInterfaces"), "name"),
            "nic1");
  const Answer subnet =
      get(kProvider + "virtualNetworks/net/subnets/a" + version() + "&$expand=ipConfigurations");
  EXPECT_EQ(subnet.status, 200) << subnet.text;
}

TEST_F(Shown, ExpandShowsNobodyMoreThanTheyMayRead) {
  const std::string narrow = make_person("narrow", kReader, kGroupId);
  const Answer seen = send_as(narrow, "GET", kGroupId + version() + "&$expand=networkInterfaces");
  ASSERT_EQ(seen.status, 200);
  EXPECT_EQ(first(seen, "properties.networkInterfaces").size(), 1U) << seen.text;
  const std::string wide = make_person("wide", kReader, kGroup);
  EXPECT_GT(first(send_as(wide, "GET", kGroupId + version() + "&$expand=networkInterfaces"),
                  "properties.networkInterfaces")
                .size(),
            1U);
}

// One request, and a document of megabytes for each of a thousand references: what is not expanded stays a
// reference.
TEST_F(Shown, ExpandPutsInNoMoreThanItsShare) {
  std::string rules, subnets;
  for (int i = 0; i < 1000; ++i)
    rules += (i == 0 ? "" : ",") + (R"({"name":"r)" + std::to_string(i)) +
             R"(","properties":{"description":")" + std::string(140, 'd') +
             R"(","protocol":"Tcp","access":"Allow","direction":"Inbound","priority":)" +
             std::to_string(200 + i) +
             R"(,"sourceAddressPrefix":"*","sourcePortRange":"*","destinationAddressPrefix":"*",)" +
             R"("destinationPortRange":"22"}})";
  const Answer large = put_security_group("large", rules);
  ASSERT_EQ(large.status, 201) << large.text.substr(0, 300);
  ASSERT_GT(large.text.size(), 500'000U);
  for (int i = 0; i < 40; ++i)
    subnets += (i == 0 ? "" : ",") + (R"({"name":"s)" + std::to_string(i)) +
               R"(","properties":{"addressPrefix":"10.8.)" + std::to_string(i) +
               R"(.0/24","networkSecurityGroup":{"id":")" + kProvider + R"(networkSecurityGroups/large"}}})";
  make(kProvider + "virtualNetworks/wide",
       R"({"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.8.0.0/16"]},"subnets":[)" +
           subnets + "]}}");
  const Answer seen =
      get(kProvider + "virtualNetworks/wide" + version() + "&$expand=subnets/networkSecurityGroup");
  ASSERT_EQ(seen.status, 200);
  size_t expanded = 0;
  for (const Json& each : *array_at(seen.body, "properties.subnets"))
    if (object_at(each.as_object(), "properties.networkSecurityGroup.properties") != nullptr) ++expanded;
  EXPECT_GT(expanded, 2U);
  EXPECT_LT(expanded, 9U);
  EXPECT_LT(seen.text.size(), size_t{5} << 20U);
}

TEST_F(Shown, ExpandRefusesWhatTheTypeDoesNotHave) {
  EXPECT_EQ(get(kGroupId + version() + "&$expand=secrets").code(), "InvalidExpandQueryOption");
  EXPECT_EQ(get(kGroupId + version() + "&$expand=subnets/a/b/c/d").code(), "InvalidExpandQueryOption");
  EXPECT_EQ(get(kGroupId + version() + "&$expand=a,b,c,d,e,f,g,h,i,j,k").code(), "InvalidExpandQueryOption");
  EXPECT_EQ(get(kGroupId + version() + "&$expand=").code(), "InvalidExpandQueryOption");
}

// Who had a role at a subnet has none at a later one of that name.
TEST_F(Shown, ARoleAtASubnetEndsWhenAWriteOfItsNetworkLeavesItOut) {
  const auto with = [](const std::string& subnets) {
    return R"({"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.7.0.0/16"]},"subnets":[)" +
           subnets + "]}}";
  };
  const std::string network = kProvider + "virtualNetworks/other";
  const std::string kept = R"({"name":"kept","properties":{"addressPrefix":"10.7.1.0/24"}})";
  const std::string gone = R"({"name":"gone","properties":{"addressPrefix":"10.7.2.0/24"}})";
  make(network, with(kept + "," + gone));
  const std::string bob = make_person("bob", kReader, network + "/subnets/gone");
  const std::string eve = make_person("eve", kReader, network + "/subnets/kept");
  EXPECT_EQ(send_as(bob, "GET", network + "/subnets/gone" + version()).status, 200);
  ASSERT_EQ(put(network, with(kept)).status, 200);
  ASSERT_EQ(put(network, with(kept + "," + gone)).status, 200);
  EXPECT_EQ(send_as(bob, "GET", network + "/subnets/gone" + version()).status, 403);
  EXPECT_EQ(send_as(eve, "GET", network + "/subnets/kept" + version()).status, 200);
}

TEST_F(Shown, ThePatchOfTagsReplacesThem) {
  ASSERT_EQ(send_as(owner_, "PATCH", kGroupId, R"({"tags":{"a":"1","b":"2"}})").status, 200);
  const Answer changed = send_as(owner_, "PATCH", kGroupId, R"({"tags":{"b":"3"}})");
  EXPECT_EQ(to_text(*object_at(changed.body, "tags")), R"({"b":"3"})");
  EXPECT_EQ(to_text(*object_at(send_as(owner_, "PATCH", kNic, R"({"tags":{}})").body, "tags")), "{}");
  EXPECT_EQ(get(kNic).at("properties.networkSecurityGroup.id"), kGroupId) << "nothing else is replaced";
}

TEST_F(Shown, FreeAddressesAndUsage) {
  const std::string network = kProvider + "virtualNetworks/net";
  const std::string ask = network + "/CheckIPAddressAvailability" + version() + "&ipAddress=";
  const Answer taken = get(ask + "10.9.0.50");
  EXPECT_EQ(bool_at(taken.body, "available"), false) << taken.text;
  EXPECT_EQ(array_at(taken.body, "availableIPAddresses")->front().as_string(), "10.9.0.4");
  EXPECT_EQ(bool_at(get(ask + "10.9.0.51").body, "available"), true);
  EXPECT_EQ(get(ask + "192.0.2.1").code(), "PrivateIPAddressNotInAnySubnet");
  EXPECT_EQ(get(ask + "none").code(), "InvalidParameter");
  EXPECT_EQ(
      get(kProvider + "virtualNetworks/no/CheckIPAddressAvailability" + version() + "&ipAddress=10.9.0.1")
          .status,
      404);
  const Answer usage = get(network + "/usages");
  ASSERT_EQ(usage.status, 200) << usage.text;
  EXPECT_EQ(first(usage, "value").at("currentValue").to_number<double>(), 1.0);
  EXPECT_EQ(first(usage, "value").at("limit").to_number<double>(), 251.0);
}

}  // namespace
}  // namespace merlon::network
