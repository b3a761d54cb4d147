// Microsoft.Network/bastionHosts: each SKU with exactly its features.
#include "services/bastion/bastion_fixture.h"

namespace merlon::bastion {
namespace {

class HostTest : public BastionFixture {
 protected:
  HostTest() {
    make_network("net");
    make_public_address("pip");
  }
  std::string put(const JsonObject& body, int status = 400) {
    const Answer answer = send(owner_, "PUT", kHostId, body);
    EXPECT_EQ(answer.status, status) << to_text(answer.body);
    return answer.code();
  }
};

TEST_F(HostTest, ShowsItsDefaultsAndKeepsItsName) {
  const JsonObject made = call(owner_, "PUT", kHostId, host_body("Basic", "net"), 201);
  const std::string name = string_at(made, "properties.dnsName").value_or("");
  EXPECT_TRUE(name.starts_with("bst-")) << name;
  EXPECT_TRUE(name.ends_with(".bastion.merlon.localhost:8443")) << name;
  EXPECT_EQ(int_at(made, "properties.scaleUnits"), 2);
  EXPECT_EQ(bool_at(made, "properties.enableTunneling"), false);
  EXPECT_EQ(string_at(made, "properties.provisioningState"), "Succeeded");
  const JsonObject tagged = call(owner_, "PATCH", kHostId, {{"tags", JsonObject{{"tier", "front"}}}}, 200);
  EXPECT_EQ(string_at(tagged, "properties.dnsName"), name);
  EXPECT_EQ(string_at(tagged, "tags.tier"), "front");
  EXPECT_EQ(array_at(call(owner_, "GET", kNet + "bastionHosts", {}, 200), "value")->size(), 1U);
  EXPECT_EQ(send(owner_, "DELETE", kHostId).status, 202);
  EXPECT_EQ(send(owner_, "GET", kHostId).status, 404);
}

TEST_F(HostTest, RefusesWhatTheSkuLacks) {
  const std::vector<std::pair<std::string, std::string>> features = {
      {"disableCopyPaste", "Standard"},       {"enableFileCopy", "Standard"},
      {"enableIpConnect", "Standard"},        {"enableShareableLink", "Standard"},
      {"enableTunneling", "Standard"},        {"enableSessionRecording", "Premium"},
      {"enablePrivateOnlyBastion", "Premium"}};
  const std::vector<std::string> skus = {"Developer", "Basic", "Standard"};
  for (const auto& [feature, from] : features)
    for (const std::string& sku : skus) {
      if (sku == "Standard" && from == "Standard") continue;
      EXPECT_EQ(put(host_body(sku, "net", {{feature, true}})), "FeatureNotSupportedFor" + sku + "BastionSku")
          << feature;
      EXPECT_EQ(send(owner_, "GET", kHostId).status, 404);
    }
  EXPECT_EQ(put(host_body("Basic", "net", {{"scaleUnits", 3}})), "FeatureNotSupportedForBasicBastionSku");
  EXPECT_EQ(put(host_body("Standard", "net", {{"scaleUnits", 51}})), "InvalidRequestContent");
  JsonObject everything;
  for (const auto& [feature, from] : features)
    if (feature != "enablePrivateOnlyBastion") everything[feature] = true;
  everything["scaleUnits"] = 50;
  put(host_body("Premium", "net", everything), 201);
}

TEST_F(HostTest, TheSkuIsOnlyRaised) {
  put(host_body("Developer", "net"), 201);
  put(host_body("Basic", "net"), 200);
  put(host_body("Standard", "net", {{"enableTunneling", true}}), 200);
  put(host_body("Premium", "net", {{"enableTunneling", true}}), 200);
  for (const char* sku : {"Standard", "Basic", "Developer"})
    EXPECT_EQ(put(host_body(sku, "net")), "BastionHostSkuDowngradeNotSupported");
  EXPECT_EQ(string_at(call(owner_, "GET", kHostId, {}, 200), "sku.name"), "Premium");
}

TEST_F(HostTest, ChecksItsSubnet) {
  JsonObject wrong = host_body("Standard", "net");
  wrong.at("properties").as_object().at("ipConfigurations").as_array()[0].as_object()["properties"] =
      JsonObject{{"subnet", JsonObject{{"id", kNet + "virtualNetworks/net/subnets/a"}}},
                 {"publicIPAddress", JsonObject{{"id", kNet + "publicIPAddresses/pip"}}}};
  EXPECT_EQ(put(wrong), "SubnetNameMustBeAzureBastionSubnet");
  call(owner_, "PUT", kNet + "virtualNetworks/small",
       {{"location", "local"},
        {"properties", JsonObject{{"addressSpace", JsonObject{{"addressPrefixes", JsonArray{"10.5.0.0/16"}}}},
                                  {"subnets", JsonArray{subnet("AzureBastionSubnet", "10.5.0.0/27")}}}}},
       201);
  EXPECT_EQ(put(host_body("Standard", "small")), "SubnetPrefixTooSmallForBastion");
  EXPECT_EQ(put(host_body("Standard", "nowhere")), "InvalidResourceReference");
  JsonObject none = host_body("Standard", "net");
  none.at("properties").as_object().erase("ipConfigurations");
  EXPECT_EQ(put(none), "IpConfigurationRequiredForBastion");
  EXPECT_EQ(put({{"location", "local"}, {"sku", JsonObject{{"name", "Developer"}}}}),
            "VirtualNetworkRequiredForDeveloperBastionSku");
}

TEST_F(HostTest, ASubnetWithSomethingElseOrARouteTableIsNoBastions) {
  const JsonObject configuration = {
      {"name", "x"},
      {"properties",
       JsonObject{{"subnet", JsonObject{{"id", kNet + "virtualNetworks/net/subnets/AzureBastionSubnet"}}}}}};
  call(owner_, "PUT", kNet + "networkInterfaces/stray",
       {{"location", "local"}, {"properties", JsonObject{{"ipConfigurations", JsonArray{configuration}}}}},
       201);
  EXPECT_EQ(put(host_body("Standard", "net")), "SubnetInUseByOtherResources");
  EXPECT_EQ(send(owner_, "DELETE", kNet + "networkInterfaces/stray").status / 100, 2);
  call(owner_, "PUT", kNet + "routeTables/rt", {{"location", "local"}}, 201);
  JsonObject routed = subnet("AzureBastionSubnet", "10.1.255.0/26");
  routed.at("properties").as_object()["routeTable"] = JsonObject{{"id", kNet + "routeTables/rt"}};
  call(owner_, "PUT", kNet + "virtualNetworks/net/subnets/AzureBastionSubnet", routed, 200);
  EXPECT_EQ(put(host_body("Standard", "net")), "RouteTableCannotBeAttachedForAzureBastionSubnet");
}

TEST_F(HostTest, ChecksItsPublicAddress) {
  EXPECT_EQ(put(host_body("Standard", "net", {}, false)), "PublicIPAddressRequiredForBastion");
  EXPECT_EQ(put(host_body("Premium", "net", {{"enablePrivateOnlyBastion", true}})),
            "PublicIPAddressNotAllowedForPrivateOnlyBastion");
  JsonObject body = host_body("Standard", "net");
  make_public_address("dynamic", "Standard", "Dynamic");
  make_public_address("basic", "Basic");
  for (const char* name : {"dynamic", "basic"}) {
    body.at("properties")
        .as_object()
        .at("ipConfigurations")
        .as_array()[0]
        .as_object()
        .at("properties")
        .as_object()["publicIPAddress"] = JsonObject{{"id", kNet + std::string("publicIPAddresses/") + name}};
    EXPECT_EQ(put(body), "PublicIPAddressNotSupportedForBastion") << name;
  }
  put(host_body("Premium", "net", {{"enablePrivateOnlyBastion", true}}, false), 201);
}

TEST_F(HostTest, ANetworkHasOneBastionAndABastionOneNetwork) {
  put(host_body("Standard", "net"), 201);
  EXPECT_EQ(send(owner_, "PUT", kNet + "bastionHosts/second", host_body("Standard", "net")).code(),
            "VirtualNetworkAlreadyHasBastion");
  make_network("far", 2);
  EXPECT_EQ(put(host_body("Standard", "far"), 409), "PropertyChangeNotAllowed");
}

// As Azure refuses it, the network of a bastion without a subnet of its own too.
TEST_F(HostTest, WhatItStandsInIsNotDeletedUnderIt) {
  const std::string network = kNet + "virtualNetworks/net";
  put(host_body("Standard", "net"), 201);
  EXPECT_EQ(send(owner_, "DELETE", network).code(), "InUseSubnetCannotBeDeleted");
  EXPECT_EQ(send(owner_, "DELETE", network + "/subnets/AzureBastionSubnet").code(),
            "InUseSubnetCannotBeDeleted");
  JsonObject smaller = call(owner_, "GET", network, {}, 200);
  JsonArray& subnets = smaller["properties"].as_object()["subnets"].as_array();
  for (auto at = subnets.begin(); at != subnets.end();)
    at = string_at(at->as_object(), "name") == "AzureBastionSubnet" ? subnets.erase(at) : at + 1;
  EXPECT_EQ(send(owner_, "PUT", network, smaller).code(), "InUseSubnetCannotBeDeleted");
  EXPECT_EQ(send(owner_, "DELETE", kHostId).status, 202);
  EXPECT_EQ(send(owner_, "DELETE", network + "/subnets/AzureBastionSubnet").status / 100, 2);
  make_network("far", 2);
  call(owner_, "PUT", kNet + "bastionHosts/small", host_body("Developer", "far"), 201);
  EXPECT_EQ(send(owner_, "DELETE", kNet + "virtualNetworks/far").code(), "InUseSubnetCannotBeDeleted");
}

TEST_F(HostTest, APutSaysWhereToAskHowItGoes) {
  for (const int status : {201, 200}) {
    const Answer answer = send(owner_, "PUT", kHostId, host_body("Standard", "net"));
    EXPECT_EQ(answer.status, status);
    const std::string where(answer.headers.value_or("Azure-AsyncOperation", ""));
    ASSERT_NE(where.find("/operationStatuses/"), std::string::npos) << status;
    const std::string path = where.substr(where.find("/subscriptions/"));
    EXPECT_EQ(string_at(call(owner_, "GET", path.substr(0, path.find('?')), {}, 200), "status"), "Succeeded");
  }
}

TEST_F(HostTest, AReaderMakesNone) {
  EXPECT_EQ(send(ada_, "PUT", kHostId, host_body("Standard", "net")).code(), "AuthorizationFailed");
  put(host_body("Standard", "net"), 201);
  EXPECT_EQ(send(ada_, "GET", kHostId).status, 200);
  EXPECT_EQ(send(ada_, "POST", kHostId + "/getActiveSessions").code(), "AuthorizationFailed");
  EXPECT_EQ(send(ada_, "DELETE", kHostId).code(), "AuthorizationFailed");
}

}  // namespace
}  // namespace merlon::bastion
