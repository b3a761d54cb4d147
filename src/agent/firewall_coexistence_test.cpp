// Beside other people's firewalls, as they really write them: Docker's rules by iptables-nft, ufw's, and
// firewalld's. Theirs stay as they are, ours holds, and who drops is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "agent/firewall.h"
#include "agent/test_sockets.h"

namespace merlon::agent::testing {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::FilterRule;
using machine::InterfacePolicy;
using machine::Mode;
using machine::PortRange;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }
IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }

void must(const Result<void>& done) {
  ASSERT_TRUE(done) << done.error().message << " " << done.error().cause;
}

// Inbound closed but for TCP 80 (and 22), outbound open.
DesiredState web_machine() {
  DesiredState state;
  state.mode = Mode::enforce;
  InterfacePolicy policy;
  policy.primary = true;
  FilterRule rule;
  rule.access = Access::allow;
  rule.protocol = Protocol::tcp;
  rule.sources = rule.destinations = {prefix("0.0.0.0/0"), prefix("::/0")};
  rule.source_ports = {PortRange{}};
  rule.destination_ports = {PortRange{80, 80}, PortRange{22, 22}};
  policy.inbound_layers.push_back({"group", {rule}, {}});
  state.interfaces.push_back(policy);
  return state;
}

Platform platform() {
  Platform made;
  made.internal_interfaces = {"docker*"};
  return made;
}

void load(const std::string& text) {
  Nft nft = Nft::open().value();
  const auto done = nft.run(text);
  ASSERT_TRUE(done) << done.error().message;
}

// Without what passing packets and reloading change.
void drop_counts(Json& json) {
  if (JsonObject* object = json.if_object()) {
    for (const std::string_view key : {"packets", "bytes", "handle"}) object->erase(key);
    for (auto& member : *object) drop_counts(member.value());
  } else if (JsonArray* array = json.if_array()) {
    for (Json& element : *array) drop_counts(element);
  }
}

// What others have, rule by rule.
std::string rules_of_others() {
  Nft nft = Nft::open().value();
  std::string text;
  Json whole = nft.list("list ruleset").value();
  drop_counts(whole);
  const JsonArray listing = whole.as_array();
  for (const std::string_view kind : {"table", "chain", "rule"})
    for (const JsonObject* object : objects_of(listing, kind))
      if (string_at(*object, "table") != "merlon" && string_at(*object, "name") != "merlon")
        text += to_text(Json(*object)) + "\n";
  return text;
}

// dockerd with `-p 8080:80 -p 80:8000`, as iptables-nft shows it; ip6tables alike.
std::string docker(std::string_view family) {
  const bool v4 = family == "ip";
  const std::string inner = v4 ? "172.17.0.2" : "fd00:17::2";
  const std::string target = v4 ? inner : "[" + inner + "]";
  const std::string ip = v4 ? "ip" : "ip6";
  const std::string lo = v4 ? "127.0.0.0/8" : "::1";
  const std::string net = v4 ? "172.17.0.0/16" : "fd00:17::/64";
  return "table " + ip + R"( nat {
  chain DOCKER {
    iifname "docker0" counter return
    iifname != "docker0" tcp dport 8080 counter dnat to )" +
         target + R"(:80
    iifname != "docker0" tcp dport 80 counter dnat to )" +
         target + R"(:8000
  }
  chain PREROUTING {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local counter jump DOCKER
  }
  chain OUTPUT {
    type nat hook output priority -100; policy accept;
    )" + ip +
         " daddr != " + lo + R"( fib daddr type local counter jump DOCKER
  }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "docker0" )" +
         ip + " saddr " + net + R"( counter masquerade
  }
}
table )" +
         ip + R"( filter {
  chain DOCKER {
    iifname != "docker0" oifname "docker0" )" +
         ip + " daddr " + inner + R"( tcp dport { 80, 8000 } counter accept
  }
  chain DOCKER-ISOLATION-STAGE-1 {
    iifname "docker0" oifname != "docker0" counter jump DOCKER-ISOLATION-STAGE-2
    counter return
  }
  chain DOCKER-ISOLATION-STAGE-2 {
    oifname "docker0" counter drop
    counter return
  }
  chain DOCKER-USER {
    counter return
  }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "docker0" ct state related,established counter accept
    oifname "docker0" counter jump DOCKER
    iifname "docker0" oifname != "docker0" counter accept
    iifname "docker0" oifname "docker0" counter accept
  }
}
)";
}

TEST(FirewallCoexistence, DockersPublishedPortsAreJudgedAsPublished) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const Container container;
    load(docker("ip") + docker("ip6"));
    const std::string before = rules_of_others();
    Firewall firewall = Firewall::open(clock).value();
    must(firewall.begin(web_machine(), platform(), {}));
    for (const auto& [to, inner, from] : {std::tuple("10.1.0.4", "172.17.0.2", "10.1.0.254"),
                                          std::tuple("fd00:1::4", "fd00:17::2", "fd00:1::fe")}) {
      SCOPED_TRACE(to);
      const Socket admin = container.listener(inner, 80);
      const Socket web = container.listener(inner, 8000);
      EXPECT_TRUE(talk(peer, web, address(to), 80).flows()) << "80 is allowed, whatever it becomes";
      EXPECT_FALSE(talk(peer, admin, address(to), 8080)) << "8080 is not, although the container's own is 80";
      must(firewall.set_openings(
          {{"o", Protocol::tcp, prefix(from), address(to), 8080, clock.boottime() + seconds(60)}}));
      EXPECT_TRUE(talk(peer, admin, address(to), 8080).flows());
      must(firewall.set_openings({}));
      EXPECT_FALSE(talk(peer, admin, address(to), 8080));
      // The container's own connections are not inbound.
      Socket outside;
      peer.there([&] { outside = bound(SOCK_STREAM, address(from), 443); });
      Socket asks;
      container.there([&] { asks = connected(SOCK_STREAM, address(from), 443); });
      EXPECT_TRUE(asks);
    }
    EXPECT_EQ(firewall.blockers().value(), (std::vector<std::string>{"ip filter FORWARD (policy drop)",
                                                                     "ip6 filter FORWARD (policy drop)"}));
    EXPECT_EQ(rules_of_others(), before) << "theirs are as they were";
  });
}

// `ufw default deny incoming; ufw allow 22/tcp`, cut to the chains that decide.
constexpr std::string_view kUfw = R"(
table ip filter {
  chain ufw-user-input {
    tcp dport 22 counter accept
  }
  chain ufw-not-local {
    fib daddr type local counter return
    limit rate 3/minute burst 10 packets counter log prefix "[UFW BLOCK] "
    counter drop
  }
  chain ufw-before-input {
    iifname "lo" counter accept
    ct state related,established counter accept
    ct state invalid counter drop
    icmp type echo-request counter accept
    udp sport 67 udp dport 68 counter accept
    counter jump ufw-not-local
    counter jump ufw-user-input
  }
  chain INPUT {
    type filter hook input priority filter; policy drop;
    counter jump ufw-before-input
  }
}
)";

TEST(FirewallCoexistence, WhatUfwKeepsShutIsNamedAndItsReloadIsSurvived) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    load(std::string(kUfw));
    must(firewall.begin(web_machine(), platform(), {}));
    const std::string before = rules_of_others();
    const Socket ssh = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    const Socket web = bound(SOCK_STREAM, address("10.1.0.4"), 80);
    const Socket other = bound(SOCK_STREAM, address("10.1.0.4"), 8080);
    EXPECT_TRUE(talk(peer, ssh, address("10.1.0.4"), 22).flows()) << "both allow it";
    EXPECT_FALSE(talk(peer, web, address("10.1.0.4"), 80)) << "Merlon only narrows";
    EXPECT_FALSE(talk(peer, other, address("10.1.0.4"), 8080)) << "neither does";
    EXPECT_EQ(firewall.blockers().value(), (std::vector<std::string>{"ip filter INPUT (policy drop)"}));
    load(
        "add rule ip filter ufw-user-input tcp dport 80 accept\n"
        "add rule ip filter ufw-user-input tcp dport 8080 accept\n");
    EXPECT_TRUE(talk(peer, web, address("10.1.0.4"), 80).flows());
    EXPECT_FALSE(talk(peer, other, address("10.1.0.4"), 8080))
        << "ufw allows it, the security group does not";
    // nftables.service beside it: everything is taken away and theirs put back.
    load("flush ruleset\n" + std::string(kUfw));
    EXPECT_TRUE(firewall.watch(true).value().table_lost);
    EXPECT_FALSE(talk(peer, other, address("10.1.0.4"), 8080));
    EXPECT_TRUE(talk(peer, ssh, address("10.1.0.4"), 22).flows());
    EXPECT_EQ(rules_of_others(), before);
  });
}

// firewalld 1.x with its nftables backend: zone "public" with ssh, one table that it owns.
constexpr std::string_view kFirewalld = R"(
table inet firewalld {
  chain filter_PREROUTING {
    type filter hook prerouting priority filter + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  chain filter_IN_public_allow {
    tcp dport 22 accept
  }
  chain filter_IN_public {
    jump filter_IN_public_allow
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_IN_public
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    reject with icmpx admin-prohibited
  }
}
)";

TEST(FirewallCoexistence, FirewalldRejectsAfterUsAndReloadsWithoutTouchingOurs) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    must(firewall.begin(web_machine(), platform(), {}));
    load(std::string(kFirewalld));
    const auto seen = firewall.watch(true).value();
    EXPECT_FALSE(seen.changed);
    EXPECT_TRUE(seen.others_changed);
    for (const char* to : {"10.1.0.4", "fd00:1::4"}) {
      SCOPED_TRACE(to);
      const Socket ssh = bound(SOCK_STREAM, address(to), 22);
      const Socket web = bound(SOCK_STREAM, address(to), 80);
      EXPECT_TRUE(talk(peer, ssh, address(to), 22).flows());
      EXPECT_FALSE(talk(peer, web, address(to), 80));
    }
    EXPECT_THAT(firewall.blockers().value(), ElementsAre("inet firewalld filter_PREROUTING (rules that drop)",
                                                         "inet firewalld filter_INPUT (rules that drop)",
                                                         "inet firewalld filter_FORWARD (rules that drop)"));
    load("delete table inet firewalld\n" + std::string(kFirewalld));  // its reload
    EXPECT_FALSE(firewall.watch(true).value().changed);
    const Socket closed = bound(SOCK_STREAM, address("10.1.0.4"), 8080);
    EXPECT_FALSE(talk(peer, closed, address("10.1.0.4"), 8080));
  });
}

}  // namespace
}  // namespace merlon::agent::testing
