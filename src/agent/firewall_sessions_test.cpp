// Sessions that are older than connection tracking, and what the kernel's socket lists say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/firewall.h"
#include "agent/test_sockets.h"

namespace merlon::agent::testing {
namespace {

using machine::DesiredState;
using machine::InterfacePolicy;
using machine::Mode;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

DesiredState sealed(Mode mode) {
  DesiredState state;
  state.mode = mode;
  InterfacePolicy policy;
  policy.primary = true;
  policy.inbound_layers.push_back({"group", {}, {}});
  policy.outbound_layers.push_back({"group", {}, {}});
  state.interfaces.push_back(policy);
  return state;
}

void must(const Result<void>& done) {
  ASSERT_TRUE(done) << done.error().message << " " << done.error().cause;
}

TEST(FirewallSessions, ThoseOlderThanEnforcementAreKeptAndNoOthers) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    for (const char* to : {"10.1.0.4", "fd00:1::4"}) {
      SCOPED_TRACE(to);
      ASSERT_EQ(run_command("nft flush ruleset"), 0);  // nothing tracks connections
      const Socket listener = bound(SOCK_STREAM, address(to), 22);
      const Talk asking = talk(peer, listener, address(to), 22);
      const Talk answering = talk(peer, listener, address(to), 22);
      const Talk unknown = talk(peer, listener, address(to), 22);
      ASSERT_TRUE(asking && answering && unknown);
      ASSERT_EQ(run_command("conntrack -F", true), 0);
      Firewall firewall = Firewall::open(clock).value();
      must(firewall.begin(sealed(Mode::audit), {}, {}));
      Sockets sockets = list_sockets().value();
      // One that was cut for the address before may still be closing.
      std::erase_if(sockets.connected, [&](const auto& socket) { return socket.local != address(to); });
      ASSERT_EQ(sockets.connected.size(), 3U);
      sockaddr_storage name{};
      socklen_t size = sizeof name;
      ASSERT_EQ(::getsockname(unknown.client.fd(), reinterpret_cast<sockaddr*>(&name), &size), 0);
      const uint16_t left_out = ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);
      std::erase_if(sockets.connected, [&](const auto& socket) { return socket.peer_port == left_out; });
      EXPECT_EQ(firewall.keep_sessions(sockets.connected).value(), 2U);
      must(firewall.apply(sealed(Mode::enforce), {}));
      EXPECT_TRUE(asking.flows());
      EXPECT_TRUE(answering.server.reaches(answering.client));
      EXPECT_TRUE(answering.flows());
      EXPECT_FALSE(unknown.client.reaches(unknown.server))
          << "without being named it is cut, or this proves nothing";
      EXPECT_FALSE(unknown.server.reaches(unknown.client));
      EXPECT_FALSE(talk(peer, listener, address(to), 22)) << "nothing new";
      ASSERT_EQ(run_command("nft flush ruleset"), 0);
      ASSERT_EQ(run_command("conntrack -F", true), 0);
      EXPECT_TRUE(firewall.watch(true).value().table_lost);
      EXPECT_TRUE(asking.flows()) << "a repaired table knows them still";
    }
  });
}

TEST(FirewallSessions, ListenersAndConnectionsAreListedWithoutLoopback) {
  in_fresh_namespace([] {
    const Peer peer;
    const Socket any = bound(SOCK_STREAM, IpAddress::from_v4(0), 8080);
    const Socket inner = bound(SOCK_STREAM, address("127.0.0.1"), 8081);
    const Socket names = bound(SOCK_DGRAM, address("fd00:1::4"), 53);
    const Talk session = talk(peer, any, address("10.1.0.5"), 8080);
    ASSERT_TRUE(session);
    const Sockets sockets = list_sockets().value();
    EXPECT_THAT(sockets.listening,
                ::testing::UnorderedElementsAre(ListeningSocket{Protocol::tcp, IpAddress::from_v4(0), 8080},
                                                ListeningSocket{Protocol::udp, address("fd00:1::4"), 53}));
    ASSERT_EQ(sockets.connected.size(), 1U);
    EXPECT_EQ(sockets.connected[0].local, address("10.1.0.5"));
    EXPECT_EQ(sockets.connected[0].peer, address("10.1.0.254"));
    EXPECT_EQ(sockets.connected[0].local_port, 8080);
  });
}

TEST(FirewallSessions, ChainsThatTakePacketsOutOfTrackingAreNamed) {
  in_fresh_namespace([] {
    const SystemClock clock;
    Firewall firewall = Firewall::open(clock).value();
    must(firewall.begin(sealed(Mode::audit), {}, {}));
    EXPECT_THAT(firewall.untracked_by().value(), ::testing::IsEmpty());
    must_run("nft add table ip raw");
    must_run("nft add chain ip raw PREROUTING { type filter hook prerouting priority -300 ; }");
    must_run("nft add rule ip raw PREROUTING tcp dport 80 accept");
    EXPECT_THAT(firewall.untracked_by().value(), ::testing::IsEmpty());
    must_run("nft add rule ip raw PREROUTING udp dport 53 notrack");
    EXPECT_THAT(firewall.untracked_by().value(), ::testing::ElementsAre("ip raw PREROUTING"));
  });
}

TEST(FirewallSessions, MarksOfOthersInOurBitsAreSeenBeforeTheyMatter) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    Platform platform;
    platform.reserved_marks = 0xff00ff00;
    must(firewall.begin(sealed(Mode::audit), platform, {}));
    const Socket listener = bound(SOCK_STREAM, address("10.1.0.4"), 80);
    must_run("nft add table inet other");
    must_run("nft add chain inet other pre { type filter hook prerouting priority -180 ; }");
    must_run("nft add rule inet other pre tcp dport 80 ct mark set 0x00ff00ff");
    EXPECT_TRUE(talk(peer, listener, address("10.1.0.4"), 80).flows());
    EXPECT_EQ(firewall.foreign_marks().value(), 0);
    must_run("nft add rule inet other pre tcp dport 80 ct mark set 0x01000000");
    EXPECT_TRUE(talk(peer, listener, address("10.1.0.4"), 80).flows());
    EXPECT_GT(firewall.foreign_marks().value(), 0);
  });
}

}  // namespace
}  // namespace merlon::agent::testing
