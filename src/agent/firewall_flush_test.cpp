// flushConnection: real connections that new rules would not let begin end with them; others, and those of
// security groups that do not want it, go on.
#include <gtest/gtest.h>

#include "agent/firewall.h"
#include "agent/test_sockets.h"

namespace merlon::agent::testing {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::FilterRule;
using machine::InterfacePolicy;
using machine::Mode;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

FilterRule allow(uint16_t port) {
  FilterRule made;
  made.name = "allow";
  made.access = Access::allow;
  made.sources = made.destinations = {*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0")};
  made.source_ports = {{0, 65535}};
  made.destination_ports = {{port, port}};
  return made;
}

DesiredState state_of(const std::vector<uint16_t>& in, const std::vector<uint16_t>& out, bool flush,
                      Mode mode = Mode::enforce) {
  DesiredState state;
  state.version = {1, 1};
  state.mode = mode;
  InterfacePolicy policy;
  // All that a connection from here may come from: the kernel chooses among those of IPv6.
  policy.addresses = {address("10.1.0.4"), address("fd00:1::4"), address("fd00:1::5"), address("fd00:1::6")};
  policy.primary = true;
  policy.flush_connections = flush;
  policy.inbound_layers.push_back({"group", {}, {}});
  policy.outbound_layers.push_back({"group", {}, {}});
  for (const uint16_t port : in) policy.inbound_layers[0].inbound.push_back(allow(port));
  for (const uint16_t port : out) policy.outbound_layers[0].outbound.push_back(allow(port));
  state.interfaces = {policy};
  return state;
}

void must(const Result<void>& done) {
  ASSERT_TRUE(done) << done.error().message << " " << done.error().cause;
}

// Connections to 22 and 80, and from here to the peer's 7000; the new rules leave 80 alone.
void change(const std::string& to, const std::string& peer_address, bool flush, Mode mode) {
  SCOPED_TRACE(to);
  const SystemClock clock;
  const Peer peer;
  Firewall firewall = Firewall::open(clock).value();
  must(firewall.begin(state_of({22, 80}, {7000}, flush, mode), {}, {}));
  const Socket ssh = bound(SOCK_STREAM, address(to), 22);
  const Socket web = bound(SOCK_STREAM, address(to), 80);
  Socket there;
  peer.there([&] { there = bound(SOCK_STREAM, address(peer_address), 7000); });
  const Talk first = talk(peer, ssh, address(to), 22);
  const Talk second = talk(peer, web, address(to), 80);
  Talk out;
  out.client = connected(SOCK_STREAM, address(peer_address), 7000);
  ASSERT_TRUE(out.client);
  out.server = Socket(::accept4(there.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(first && second && out && first.flows() && second.flows() && out.flows());
  EXPECT_EQ(firewall.end_denied_connections().value(), 0U) << "nothing is denied yet";
  must(firewall.apply(state_of({80}, {}, flush, mode), {}));
  EXPECT_TRUE(first.flows()) << "a change alone ends nothing";
  const bool ends = flush && mode == Mode::enforce;
  EXPECT_EQ(firewall.end_denied_connections().value(), ends ? 2U : 0U);
  EXPECT_TRUE(second.flows()) << "it is allowed still";
  EXPECT_EQ(first.client.reaches(first.server), !ends);
  EXPECT_EQ(first.server.reaches(first.client), !ends);
  EXPECT_EQ(out.client.reaches(out.server), !ends);
  EXPECT_EQ(out.server.reaches(out.client), !ends);
}

TEST(FirewallFlush, WhatTheNewRulesDenyEnds) {
  in_fresh_namespace([] { change("10.1.0.4", "10.1.0.254", true, Mode::enforce); });
  in_fresh_namespace([] { change("fd00:1::4", "fd00:1::fe", true, Mode::enforce); });
}

TEST(FirewallFlush, WithoutTheFlagAndInAuditModeEverythingGoesOn) {
  in_fresh_namespace([] { change("10.1.0.4", "10.1.0.254", false, Mode::enforce); });
  in_fresh_namespace([] { change("10.1.0.4", "10.1.0.254", true, Mode::audit); });
}

TEST(FirewallFlush, WhatAnOpeningLetsInGoesOnAndSoDoesTheAgentsOwnTraffic) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    Platform platform;
    platform.contact = {{address("10.1.0.254")}, 7000, 0};
    must(firewall.begin(state_of({22}, {}, true), platform, {}));
    must(firewall.set_openings({{"grant/0", machine::Protocol::tcp, *IpPrefix::parse("10.1.0.254"),
                                 address("10.1.0.4"), 22, clock.boottime() + std::chrono::seconds(60), 0}}));
    const Socket ssh = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    const Talk session = talk(peer, ssh, address("10.1.0.4"), 22);
    Socket there;
    peer.there([&] { there = bound(SOCK_STREAM, address("10.1.0.254"), 7000); });
    Talk own;
    own.client = connected(SOCK_STREAM, address("10.1.0.254"), 7000);
    ASSERT_TRUE(session && own.client);
    own.server = Socket(::accept4(there.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    must(firewall.apply(state_of({}, {}, true), platform));
    EXPECT_EQ(firewall.end_denied_connections().value(), 0U);
    EXPECT_TRUE(session.flows());
    EXPECT_TRUE(own.flows());
  });
}

TEST(FirewallFlush, ASessionThatIsOlderThanEnforcementEndsToo) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const Socket ssh = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    const Talk session = talk(peer, ssh, address("10.1.0.4"), 22);
    ASSERT_TRUE(session && session.flows());
    Firewall firewall = Firewall::open(clock).value();
    must(firewall.begin(state_of({}, {}, true), {}, {}));
    ASSERT_TRUE(firewall.keep_sessions(list_sockets().value().connected));
    EXPECT_TRUE(session.flows());
    ASSERT_TRUE(firewall.end_denied_connections());
    EXPECT_FALSE(session.client.reaches(session.server));
    EXPECT_FALSE(session.server.reaches(session.client));
  });
}

}  // namespace
}  // namespace merlon::agent::testing
