// Peerings: Azure's states, its refusals, and what the tag VirtualNetwork means on both sides.
#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

using machine::Access;

class Peerings : public NetworkFixture {
 protected:
  static std::string network(const std::string& name) { return kProvider + "virtualNetworks/" + name; }
  Answer peer(const std::string& from, const std::string& to, bool allow = true,
              const std::string& name = "peer") {
    return put(network(from) + "/virtualNetworkPeerings/" + name,
               R"({"properties":{"allowVirtualNetworkAccess":)" + std::string(allow ? "true" : "false") +
                   R"(,"remoteVirtualNetwork":{"id":")" + network(to) + R"("}}})");
  }
  std::string state(const std::string& of) {
    return get(network(of) + "/virtualNetworkPeerings/peer").at("properties.peeringState");
  }
  std::string level(const std::string& of) {
    return get(network(of) + "/virtualNetworkPeerings/peer").at("properties.peeringSyncLevel");
  }
  void grow(const std::string& name, const std::vector<std::string>& space, const std::string& token = {}) {
    Answer document = get(network(name));
    JsonArray prefixes;
    for (const std::string& prefix : space) prefixes.emplace_back(prefix);
    document.body["properties"].as_object()["addressSpace"] =
        JsonObject{{"addressPrefixes", std::move(prefixes)}};
    // Who may not write the other side leaves the peerings out: they are kept.
    if (!token.empty()) document.body["properties"].as_object().erase("virtualNetworkPeerings");
    const Answer grown =
        send_as(token.empty() ? owner_ : token, "PUT", network(name), to_text(document.body));
    ASSERT_EQ(grown.status, 200) << grown.text;
  }
  // As `az network vnet peering sync` does.
  Answer sync(const std::string& of) {
    const std::string peering = network(of) + "/virtualNetworkPeerings/peer";
    return put(peering + "?api-version=2024-05-01&syncRemoteAddressSpace=true", get(peering).text);
  }
  static inline const std::string kOnLink = "onlink-10.9.0.0-24";
};

TEST_F(Peerings, BothSidesConnectAndTheTagGrows) {
  const auto vm = enrol("m1", "10.9.0.5");
  make_network("remote", "10.2.0.0/24");
  EXPECT_EQ(verdict(vm, "10.2.0.9", "10.9.0.5").access, Access::deny);
  const Answer first = peer(kOnLink, "remote");
  ASSERT_EQ(first.status, 201) << first.text;
  EXPECT_EQ(first.at("properties.peeringState"), "Initiated");
  EXPECT_EQ(verdict(vm, "10.2.0.9", "10.9.0.5").access, Access::deny) << "one side alone opens nothing";
  ASSERT_EQ(peer("remote", kOnLink).at("properties.peeringState"), "Connected");
  EXPECT_EQ(state(kOnLink), "Connected");
  EXPECT_EQ(verdict(vm, "10.2.0.9", "10.9.0.5").rule, "AllowVnetInBound");

  // The remote network grows: this side has not agreed to that yet.
  grow("remote", {"10.2.0.0/24", "10.3.0.0/24"});
  EXPECT_EQ(state("remote"), "Connected") << "a PUT that carries the peering along keeps it";
  EXPECT_EQ(verdict(vm, "10.3.0.9", "10.9.0.5").rule, "DenyAllInBound");
  ASSERT_EQ(sync(kOnLink).status, 200);
  EXPECT_EQ(verdict(vm, "10.3.0.9", "10.9.0.5").access, Access::allow);

  ASSERT_EQ(peer(kOnLink, "remote", false).status, 200);
  EXPECT_EQ(verdict(vm, "10.2.0.9", "10.9.0.5").access, Access::deny) << "this side lets nobody in now";
  ASSERT_EQ(peer(kOnLink, "remote", true).status, 200);
  ASSERT_EQ(remove(network("remote") + "/virtualNetworkPeerings/peer").status, 200);
  EXPECT_EQ(state(kOnLink), "Disconnected");
  EXPECT_EQ(verdict(vm, "10.2.0.9", "10.9.0.5").access, Access::deny);
}

TEST_F(Peerings, WhatAPeerGrowsByCountsOnceThisSideSays) {
  const auto vm = enrol("m1", "10.9.0.5");
  make_network("remote", "10.2.0.0/24");
  ASSERT_EQ(peer(kOnLink, "remote").status, 201);
  ASSERT_EQ(peer("remote", kOnLink).status, 201);
  EXPECT_EQ(level(kOnLink), "FullyInSync");
  const std::string mallory =
      make_person("mallory", "4d97b98b-1d4f-4787-a291-c67834d212e7", network("remote"));
  grow("remote", {"10.2.0.0/24", "128.0.0.0/1"}, mallory);
  EXPECT_EQ(verdict(vm, "203.0.113.66", "10.9.0.5").rule, "DenyAllInBound");
  EXPECT_EQ(level(kOnLink), "LocalNotInSync");
  EXPECT_EQ(level("remote"), "RemoteNotInSync");
  const Answer shown = get(network(kOnLink) + "/virtualNetworkPeerings/peer");
  EXPECT_EQ(array_at(shown.body, "properties.remoteAddressSpace.addressPrefixes")->size(), 1U);
  EXPECT_EQ(array_at(shown.body, "properties.remoteVirtualNetworkAddressSpace.addressPrefixes")->size(), 2U);
  // Writes of this side that do not ask for it leave it so, whatever they carry.
  ASSERT_EQ(put(network(kOnLink), get(network(kOnLink)).text).status, 200);
  Answer carried = shown;
  JsonObject& properties = carried.body["properties"].as_object();
  properties["remoteAddressSpace"] = properties.at("remoteVirtualNetworkAddressSpace");
  ASSERT_EQ(put(network(kOnLink) + "/virtualNetworkPeerings/peer", to_text(carried.body)).status, 200);
  EXPECT_EQ(verdict(vm, "203.0.113.66", "10.9.0.5").rule, "DenyAllInBound");
  EXPECT_EQ(level(kOnLink), "LocalNotInSync");
  const Answer routes = post(kProvider + "networkInterfaces/m1-nic/effectiveRouteTable");
  EXPECT_EQ(routes.text.find("128.0.0.0/1"), std::string::npos) << routes.text;

  ASSERT_EQ(sync(kOnLink).status, 200);
  EXPECT_EQ(verdict(vm, "203.0.113.66", "10.9.0.5").rule, "AllowVnetInBound");
  EXPECT_EQ(level(kOnLink), "FullyInSync");
  EXPECT_EQ(level("remote"), "FullyInSync");
}

TEST_F(Peerings, WhatIsAgreedToIsWhatWasThereThen) {
  const auto vm = enrol("m1", "10.9.0.5");
  make_network("remote", "10.2.0.0/24");
  ASSERT_EQ(peer(kOnLink, "remote").status, 201);
  grow("remote", {"10.2.0.0/24", "128.0.0.0/1"});
  ASSERT_EQ(peer("remote", kOnLink).at("properties.peeringState"), "Connected");
  EXPECT_EQ(verdict(vm, "10.2.0.9", "10.9.0.5").rule, "AllowVnetInBound");
  EXPECT_EQ(verdict(vm, "203.0.113.66", "10.9.0.5").rule, "DenyAllInBound");
}

TEST_F(Peerings, ADisconnectedSideMustBeRenewedFirst) {
  make_network("a", "10.1.0.0/24");
  make_network("b", "10.2.0.0/24");
  ASSERT_EQ(peer("a", "b").status, 201);
  ASSERT_EQ(peer("b", "a").status, 201);
  ASSERT_EQ(remove(network("b")).status, 200);
  EXPECT_EQ(state("a"), "Disconnected");
  make_network("b", "10.2.0.0/24");
  EXPECT_EQ(peer("b", "a").code(), "RemotePeeringIsDisconnected");
  // A write of the whole network does not renew it; one of the peering does.
  ASSERT_EQ(put(network("a"), get(network("a")).text).status, 200);
  EXPECT_EQ(state("a"), "Disconnected");
  ASSERT_EQ(peer("a", "b").at("properties.peeringState"), "Initiated");
  EXPECT_EQ(peer("b", "a").at("properties.peeringState"), "Connected");
  EXPECT_EQ(state("a"), "Connected");
}

TEST_F(Peerings, WhatCannotBePeered) {
  make_network("a", "10.1.0.0/24");
  make_network("b", "10.2.0.0/24");
  make_network("inside-a", "10.1.0.128/25");
  make_network("twin-of-a", "10.1.0.0/24");
  EXPECT_EQ(peer("a", "a").code(), "VnetCannotBePeeredWithItself");
  EXPECT_EQ(peer("a", "inside-a").code(), "VnetAddressSpacesOverlap");
  EXPECT_EQ(peer("a", "nowhere").code(), "InvalidResourceReference");
  ASSERT_EQ(peer("a", "b").status, 201);
  EXPECT_EQ(peer("a", "b", true, "again").code(), "AnotherPeeringAlreadyReferencesRemoteVnet");
  EXPECT_EQ(peer("b", "twin-of-a").status, 201) << "b has not agreed to a yet";
  EXPECT_EQ(peer("b", "a", true, "second").code(), "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet");
  EXPECT_EQ(peer("a", "inside-a").status, 409) << "a peering's remote network is fixed";
  // Growing into a peer is refused as well.
  Answer a = get(network("a"));
  a.body["properties"].as_object()["addressSpace"] =
      JsonObject{{"addressPrefixes", JsonArray{"10.1.0.0/24", "10.2.0.0/16"}}};
  EXPECT_EQ(put(network("a"), to_text(a.body)).code(), "VnetAddressSpacesOverlap");
  // Who writes one side needs the right to peer on the other.
  const std::string token =
      make_person("netops", "4d97b98b-1d4f-4787-a291-c67834d212e7", network("inside-a"));
  const Answer denied =
      send_as(token, "PUT", network("inside-a") + "/virtualNetworkPeerings/p",
              R"({"properties":{"remoteVirtualNetwork":{"id":")" + network("b") + R"("}}})");
  EXPECT_EQ(denied.status, 403) << denied.text;
  EXPECT_EQ(denied.code(), "LinkedAuthorizationFailed");
}

// Connected sides are not looked at again with each write: who grows or peers is.
TEST_F(Peerings, WhoeverGrowsIsLookedAtBesideThePeersOfItsPeers) {
  for (const auto& [name, space] : {std::pair("a", "10.1.0.0/24"), std::pair("b", "10.2.0.0/24"),
                                    std::pair("c", "10.3.0.0/24"), std::pair("like-a", "10.1.0.0/25")})
    make_network(name, space);
  for (const auto& [from, to] : {std::pair("a", "b"), std::pair("b", "a")})
    ASSERT_EQ(peer(from, to).status, 201);
  ASSERT_EQ(peer("b", "c", true, "c").status, 201);
  ASSERT_EQ(peer("c", "b").at("properties.peeringState"), "Connected");
  const auto grown_to = [&](const std::string& name, const std::string& more) {
    Answer grown = get(network(name));
    grown.body["properties"].as_object()["addressSpace"].as_object()["addressPrefixes"].as_array().push_back(
        more.c_str());
    return put(network(name), to_text(grown.body)).code();
  };
  EXPECT_EQ(grown_to("a", "10.3.0.128/25"), "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet");
  EXPECT_EQ(grown_to("b", "10.3.0.0/16"), "VnetAddressSpacesOverlap");
  EXPECT_EQ(peer("like-a", "b").code(), "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet");
  EXPECT_EQ(peer("b", "like-a", true, "more").code(), "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet");
  for (const char* name : {"a", "b", "c"})
    EXPECT_EQ(put(network(name), get(network(name)).text).status, 200) << name;
  EXPECT_EQ(grown_to("a", "10.4.0.0/24"), "");
}

}  // namespace
}  // namespace merlon::network
