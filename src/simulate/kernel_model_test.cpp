// The modelled kernel against the meaning of rules (machine::judge), and its timeouts and transactions one by
// one. The real kernel is held against it in simulate_test, with packets.
#include "simulate/kernel_model.h"

#include <gtest/gtest.h>

#include "agent/firewall.h"
#include "agent/firewall_identity.h"
#include "simulate/seeded_random.h"
#include "simulate/world_clock.h"

namespace merlon::simulate {
namespace {

using agent::NftForm;
using machine::Access;
using machine::DesiredState;
using std::chrono::hours;
using std::chrono::seconds;

IpAddress address(const char* text) { return IpAddress::parse(text).value(); }
IpPrefix prefix(const char* text) { return IpPrefix::parse(text).value(); }

class KernelTest : public ::testing::Test {
 protected:
  Result<std::string> run(const std::string& commands) { return kernel.run(commands, NftForm::text); }
  agent::Firewall firewall() {
    return agent::Firewall(clock, agent::Nft(std::make_unique<ModelNft>(kernel, [] {})),
                           agent::FirewallMonitor(std::make_unique<ModelEvents>(kernel)));
  }
  static Packet ssh(const char* from) {
    Packet packet;
    packet.source = address(from);
    packet.destination = address("10.1.0.4");
    packet.destination_port = 22;
    return packet;
  }
  agent::LiveOpening opening(Duration left) {
    return {"grant/0", machine::Protocol::tcp, prefix("192.0.2.7"), address("10.1.0.4"),
            22,        clock.boottime() + left};
  }
  static DesiredState sealed() {
    DesiredState state = agent::closed_state();
    state.interfaces.front().addresses = {address("10.1.0.4"), address("fd00:1::4")};
    return state;
  }

  Timestamp truth{hours(1'000'000)};
  ComputerClock clock{truth};
  RuleCache rules;
  KernelModel kernel{rules, [this] { return clock.running(); }};
};

TEST_F(KernelTest, ATransactionIsWholeOrNothing) {
  ASSERT_TRUE(run("add table inet merlon\nadd chain inet merlon a\n"));
  const auto failed = run("add chain inet merlon b\ndelete chain inet merlon none\n");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::not_found);
  EXPECT_FALSE(run("delete chain inet merlon b"));
  EXPECT_TRUE(run("delete chain inet merlon a"));
}

TEST_F(KernelTest, WhatItDoesNotKnowIsAnErrorAndNotSilence) {
  ASSERT_TRUE(run("add table inet merlon\nadd chain inet merlon a\n"));
  for (const char* rule : {"meta mark 7 accept", "limit rate 1/second accept", "tcp flags syn accept",
                           "ct state invalid drop", "tcp flags & urg == 0 accept", "accept now",
                           "ip ttl 3 drop", "ip saddr everything drop", "th dport ssh drop", "reject"})
    EXPECT_EQ(run(std::string("add rule inet merlon a ") + rule).error().code, "FirewallRefused") << rule;
  EXPECT_EQ(run("add flowtable inet merlon f").error().code, "FirewallRefused");
  EXPECT_EQ(run("rename chain inet merlon a b").error().code, "FirewallRefused");
}

TEST_F(KernelTest, AnOpeningEndsByItselfAndStandsStillInSuspend) {
  auto fw = firewall();
  ASSERT_TRUE(fw.begin(sealed(), {}, {}));
  EXPECT_FALSE(kernel.passes(ssh("192.0.2.7")));
  ASSERT_TRUE(fw.set_openings({opening(seconds(10))}));
  EXPECT_TRUE(kernel.passes(ssh("192.0.2.7")));
  EXPECT_FALSE(kernel.passes(ssh("192.0.2.8")));
  truth += seconds(9);
  EXPECT_TRUE(kernel.passes(ssh("192.0.2.7")));
  clock.suspend();
  truth += hours(1);
  clock.resume();
  EXPECT_TRUE(kernel.passes(ssh("192.0.2.7"))) << "the kernel's timers stood still";
  truth += seconds(1);
  EXPECT_FALSE(kernel.passes(ssh("192.0.2.7")));
  EXPECT_EQ(kernel.open_elements(), 0U);
}

TEST_F(KernelTest, ASessionOlderThanEnforcementGoesOnAndNoOther) {
  auto fw = firewall();
  ASSERT_TRUE(fw.begin(sealed(), {}, {}));
  Packet segment = ssh("192.0.2.7");
  segment.source_port = 40'000;
  segment.begins_flow = false;
  EXPECT_FALSE(kernel.passes(segment));
  ASSERT_TRUE(fw.keep_sessions({{segment.destination, segment.source, 22, 40'000}}));
  EXPECT_TRUE(kernel.passes(segment));
  segment.invalid = true;
  EXPECT_TRUE(kernel.passes(segment));
  segment.source_port = 40'001;
  EXPECT_FALSE(kernel.passes(segment));
  segment.source_port = 40'000;
  segment.begins_flow = true;
  segment.invalid = false;
  EXPECT_FALSE(kernel.passes(segment)) << "a new connection from the same port";
  segment.begins_flow = false;
  truth += hours(3);
  EXPECT_FALSE(kernel.passes(segment));
}

// A machine that is removed takes down its redirections, whether it has any or not.
TEST_F(KernelTest, TheTableOfIdentitiesIsTakenDownWhereverItStands) {
  ASSERT_TRUE(run("add table inet merlon\n"));
  const size_t commits = kernel.commits();
  EXPECT_FALSE(run("delete table inet merlon_identity"));
  EXPECT_TRUE(run(agent::identity_text({}, false)));
  EXPECT_TRUE(run(agent::identity_text({}, false)));
  EXPECT_EQ(kernel.commits(), commits) << "the rules' own table is as it was";
  EXPECT_TRUE(kernel.has_table());
  EXPECT_FALSE(run("add chain inet merlon_identity output"));
}

TEST_F(KernelTest, ItTellsWhoeverListens) {
  auto fw = firewall();
  ASSERT_TRUE(fw.begin(sealed(), {}, {}));
  kernel.flush_ruleset();
  EXPECT_TRUE(kernel.passes(ssh("192.0.2.8")));
  const auto seen = fw.watch(true);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->table_lost);
  EXPECT_FALSE(kernel.passes(ssh("192.0.2.8")));
  EXPECT_FALSE(fw.watch(true)->changed);
}

machine::FilterRule random_rule(SeededRandom& chance) {
  machine::FilterRule rule;
  rule.access = chance.chance(500) ? Access::allow : Access::deny;
  rule.protocol = static_cast<machine::Protocol>(chance.below(3));
  const std::vector<const char*> sources = {"0.0.0.0/0", "192.0.2.0/24", "192.0.2.7", "::/0",
                                            "2001:db8::/32"};
  for (size_t i = 0; i < 2; ++i) rule.sources.push_back(prefix(chance.pick(sources)));
  rule.destinations = {prefix("0.0.0.0/0"), prefix("::/0")};
  rule.source_ports = {machine::PortRange{}};
  rule.destination_ports = {machine::PortRange{}};
  if (chance.chance(600)) rule.destination_ports = {{22, 22}, {80, 443}};
  return rule;
}

TEST_F(KernelTest, ItJudgesPacketsAsTheRulesAreMeant) {
  SeededRandom chance(7);
  auto fw = firewall();
  ASSERT_TRUE(fw.begin(sealed(), {}, {}));
  for (int round = 0; round < 60; ++round) {
    DesiredState state;
    state.mode = machine::Mode::enforce;
    for (const char* own : {"10.1.0.4", "10.1.0.5"}) {
      machine::InterfacePolicy policy;
      policy.primary = state.interfaces.empty();
      policy.addresses = {address(own)};
      if (policy.primary) policy.addresses.push_back(address("fd00:1::4"));
      for (size_t layers = chance.below(3); layers > 0; --layers) {
        machine::FilterLayer layer;
        for (size_t i = chance.below(5); i > 0; --i) layer.inbound.push_back(random_rule(chance));
        policy.inbound_layers.push_back(layer);
      }
      state.interfaces.push_back(policy);
    }
    ASSERT_TRUE(fw.apply(state, {}));
    for (int i = 0; i < 40; ++i) {
      Packet packet;
      const bool v4 = chance.chance(600);
      packet.source = address(v4 ? chance.pick(std::vector<const char*>{"192.0.2.7", "192.0.2.99", "8.8.8.8"})
                                 : chance.pick(std::vector<const char*>{"2001:db8::7", "2620::1"}));
      packet.destination =
          address(v4 ? chance.pick(std::vector<const char*>{"10.1.0.4", "10.1.0.5", "10.1.0.9"})
                     : chance.pick(std::vector<const char*>{"fd00:1::4", "fd00:1::9"}));
      packet.protocol = chance.chance(500) ? 6 : 17;
      packet.destination_port = chance.pick(std::vector<uint16_t>{22, 79, 80, 300, 443, 444});
      machine::Flow flow;
      flow.protocol = packet.protocol == 6 ? machine::Protocol::tcp : machine::Protocol::udp;
      flow.source = packet.source;
      flow.destination = packet.destination;
      flow.source_port = packet.source_port;
      flow.destination_port = packet.destination_port;
      EXPECT_EQ(kernel.passes(packet), machine::judge(state, flow, truth).access == Access::allow)
          << packet.text();
    }
  }
}

}  // namespace
}  // namespace merlon::simulate
