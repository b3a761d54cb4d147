// The firewall in a real kernel, in a network namespace: openings that end by themselves, repair, audit,
// Docker's way of publishing ports, and other people's tables.
#include <gtest/gtest.h>

#include "agent/firewall.h"
#include "agent/test_packets.h"

namespace merlon::agent::testing {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::FilterRule;
using machine::InterfacePolicy;
using machine::Mode;
using machine::PortRange;
using std::chrono::milliseconds;
using std::chrono::seconds;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }
IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }

FilterRule allow(Protocol protocol, uint16_t port) {
  FilterRule rule;
  rule.name = "allow";
  rule.access = Access::allow;
  rule.protocol = protocol;
  rule.sources = rule.destinations = {prefix("0.0.0.0/0"), prefix("::/0")};
  rule.source_ports = {PortRange{}};
  rule.destination_ports = {PortRange{port, port}};
  return rule;
}

// Inbound closed but for TCP 80, outbound open.
DesiredState web_machine(Mode mode = Mode::enforce) {
  DesiredState state;
  state.version = {1, 1};
  state.mode = mode;
  InterfacePolicy policy;
  policy.primary = true;
  policy.addresses = {address("10.1.0.4"), address("fd00:1::4")};
  policy.inbound_layers.push_back({"group", {allow(Protocol::tcp, 80)}, {}});
  state.interfaces.push_back(policy);
  return state;
}

Flow tcp(std::string_view from, std::string_view to, uint16_t port, uint16_t source_port = 40000) {
  return {true, Protocol::tcp, address(from), address(to), source_port, port};
}

LiveOpening opening(std::string_view source, Duration deadline, std::string_view to = "10.1.0.4",
                    uint16_t port = 22) {
  return {"opening", Protocol::tcp, prefix(source), address(to), port, deadline};
}

// One machine, its firewall, and packets into it.
class Machine {
 public:
  Machine() : firewall(Firewall::open(clock).value()), cable(peer) {}
  // Does a fresh flow get through? Each call takes another source port, so that none is part of another's.
  bool passes(Flow flow) {
    if (flow.protocol == Protocol::tcp || flow.protocol == Protocol::udp)
      flow.source_port = static_cast<uint16_t>(flow.source_port + ++count_);
    cable.send(flow, kFirstMark + count_);
    Flow known = tcp("10.1.0.254", "10.1.0.4", 68, 67);  // the platform's: after it, nothing is under way
    known.protocol = Protocol::udp;
    const uint32_t last = kFirstMark + 0x10000 + count_;
    cable.send(known, last);
    const Cable::Arrived got = cable.arrived({last});
    return got.inbound.contains(kFirstMark + count_) || got.outbound.contains(kFirstMark + count_);
  }
  Duration now() const { return clock.boottime(); }
  void sleep_until(Duration moment) const {
    while (clock.boottime() < moment) ::usleep(1000);
  }

  SystemClock clock;
  Peer peer;
  Firewall firewall;
  Cable cable;

 private:
  uint32_t count_ = 0;
};

Platform internal(std::vector<std::string> patterns, std::vector<std::string> uplinks = {}) {
  Platform platform;
  platform.internal_interfaces = std::move(patterns);
  platform.uplinks = std::move(uplinks);
  return platform;
}

void must(const Result<void>& done) {
  ASSERT_TRUE(done) << done.error().message << " " << done.error().cause;
}

TEST(FirewallKernel, AnOpeningLetsOneSourceInAndEndsByItself) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80)));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    const Duration end = machine.now() + milliseconds(1800);
    must(
        machine.firewall.set_openings({opening("192.0.2.7", end), opening("2001:db8::7", end, "fd00:1::4")}));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("2001:db8::7", "fd00:1::4", 22)));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.8", "10.1.0.4", 22)));  // another source
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.5", 22)));  // another address
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 23)));  // another port
    EXPECT_FALSE(machine.passes(tcp("2001:db8::8", "fd00:1::4", 22)));
    Flow udp = tcp("192.0.2.7", "10.1.0.4", 22);
    udp.protocol = Protocol::udp;
    EXPECT_FALSE(machine.passes(udp));  // another protocol
    // Nobody does anything: the kernel ends it.
    machine.sleep_until(end);
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    EXPECT_FALSE(machine.passes(tcp("2001:db8::7", "fd00:1::4", 22)));
    EXPECT_FALSE(machine.firewall.is_open(opening("192.0.2.7", end)).value());
  });
}

TEST(FirewallKernel, AnOpeningEndsWithEveryProcessDead) {
  in_fresh_namespace([] {
    Machine machine;
    const Duration end = machine.now() + milliseconds(1800);
    const pid_t agent = ::fork();
    if (agent == 0) {
      SystemClock clock;
      auto firewall = Firewall::open(clock).value();
      const bool done = firewall.begin(web_machine(), {}, {opening("192.0.2.7", end)}).has_value();
      ::_exit(done ? 0 : 1);
    }
    int status = 1;
    ASSERT_EQ(::waitpid(agent, &status, 0), agent);
    ASSERT_EQ(status, 0);
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    machine.sleep_until(end);
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80)));  // the rules are there without it
  });
}

TEST(FirewallKernel, OpeningsAreLengthenedShortenedAndTakenAway) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    const Flow ssh = tcp("192.0.2.7", "10.1.0.4", 22);
    const Duration start = machine.now();
    must(machine.firewall.set_openings({opening("192.0.2.7", start + milliseconds(400))}));
    must(machine.firewall.set_openings({opening("192.0.2.7", start + milliseconds(2500))}));
    machine.sleep_until(start + milliseconds(600));
    EXPECT_TRUE(machine.passes(ssh)) << "lengthened";
    must(machine.firewall.set_openings({opening("192.0.2.7", start + milliseconds(1500))}));
    machine.sleep_until(start + milliseconds(1500));
    EXPECT_FALSE(machine.passes(ssh)) << "shortened";
    must(machine.firewall.set_openings({opening("192.0.2.7", machine.now() + seconds(60))}));
    EXPECT_TRUE(machine.passes(ssh)) << "again, on a key that ran out";
    must(machine.firewall.set_openings({}));
    EXPECT_FALSE(machine.passes(ssh)) << "revoked";
    // Too little left to be worth a rule, and never one without an end.
    must(machine.firewall.set_openings({opening("192.0.2.7", machine.now() + milliseconds(5))}));
    EXPECT_FALSE(machine.passes(ssh));
  });
}

TEST(FirewallKernel, TwoOpeningsOnOneKeyEndWithTheLater) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    const Flow ssh = tcp("192.0.2.7", "10.1.0.4", 22);
    const Duration start = machine.now();
    must(machine.firewall.set_openings(
        {opening("192.0.2.7", start + milliseconds(300)), opening("192.0.2.7", start + milliseconds(1800))}));
    machine.sleep_until(start + milliseconds(400));
    EXPECT_TRUE(machine.passes(ssh));
    machine.sleep_until(start + milliseconds(1800));
    EXPECT_FALSE(machine.passes(ssh));
  });
}

TEST(FirewallKernel, PrefixesAndHostsMayOverlap) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    const Duration start = machine.now();
    must(machine.firewall.set_openings({opening("192.0.2.7", start + seconds(60))}));
    must(machine.firewall.set_openings({opening("192.0.2.7", start + seconds(60)),
                                        opening("192.0.2.0/24", start + milliseconds(1800)),
                                        opening("192.0.2.0/29", start + seconds(60)),
                                        opening("2001:db8::/32", start + seconds(60), "fd00:1::4"),
                                        opening("0.0.0.0/0", start + seconds(60), "10.1.0.4", 3389),
                                        opening("::/0", start + seconds(60), "fd00:1::4", 3389)}));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.200", "10.1.0.4", 22)));
    EXPECT_FALSE(machine.passes(tcp("192.0.3.1", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("2001:db8:ffff::1", "fd00:1::4", 22)));
    EXPECT_TRUE(machine.passes(tcp("203.0.113.9", "10.1.0.4", 3389)));
    EXPECT_TRUE(machine.passes(tcp("2620::9", "fd00:1::4", 3389)));
    machine.sleep_until(start + milliseconds(1800));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.200", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.6", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
  });
}

TEST(FirewallKernel, TenThousandOpeningsAreThereInSeconds) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    std::vector<LiveOpening> many;
    const Duration start = machine.now();
    for (unsigned i = 0; i < 10'000; ++i) {
      LiveOpening one = opening("192.0.2.7", start + seconds(600));
      one.source = IpPrefix(IpAddress::from_v4(0x0a090000U + i));
      many.push_back(std::move(one));
    }
    must(machine.firewall.set_openings(many));
    // With sanitizers and a busy machine; unloaded it is well under a second.
    EXPECT_LT(machine.now() - start, seconds(60));
    RecordProperty("milliseconds", std::to_string((machine.now() - start).count()));
    EXPECT_TRUE(machine.passes(tcp("10.9.0.1", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("10.9.39.15", "10.1.0.4", 22)));
    EXPECT_FALSE(machine.passes(tcp("10.9.39.16", "10.1.0.4", 22)));
  });
}

TEST(FirewallKernel, AChangeOfRulesLeavesOpeningsAsTheyAre) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    const Duration end = machine.now() + milliseconds(1800);
    must(machine.firewall.set_openings({opening("192.0.2.7", end), opening("192.0.2.0/24", end)}));
    DesiredState changed = web_machine();
    changed.interfaces[0].inbound_layers.push_back({"second", {allow(Protocol::tcp, 443)}, {}});
    must(machine.firewall.apply(changed, {}));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.9", "10.1.0.4", 22)));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80))) << "every layer must allow";
    must(machine.firewall.apply(web_machine(), {}));  // fewer chains than before
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80)));
    machine.sleep_until(end);
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
  });
}

TEST(FirewallKernel, AFlushedRulesetIsRepairedWithOpeningsNoLongerThanBefore) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    const Duration end = machine.now() + milliseconds(1800);
    must(machine.firewall.set_openings({opening("192.0.2.7", end)}));
    EXPECT_FALSE(machine.firewall.watch(true).value().changed) << "our own changes are not somebody else's";
    ASSERT_EQ(run_command("nft flush ruleset"), 0);
    EXPECT_TRUE(machine.passes(tcp("192.0.2.8", "10.1.0.4", 22)))
        << "the machine was open, or this proves nothing";
    const auto seen = machine.firewall.watch(true).value();
    EXPECT_TRUE(seen.table_lost);
    EXPECT_LT(seen.gap, seconds(1));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.8", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    EXPECT_FALSE(machine.firewall.watch(true).value().changed) << "the repair is not an event of its own";
    machine.sleep_until(end);
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
  });
}

TEST(FirewallKernel, SomebodyElsesHandOnOurTableIsUndone) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {opening("192.0.2.7", machine.now() + seconds(60))}));
    const auto repaired = [&](const std::string& command) {
      ASSERT_EQ(run_command(command), 0) << command;
      const auto seen = machine.firewall.watch(true).value();
      EXPECT_TRUE(seen.changed) << command;
      EXPECT_FALSE(machine.passes(tcp("192.0.2.8", "10.1.0.4", 22))) << command;
      EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22))) << command;
    };
    repaired("nft insert rule inet merlon prerouting accept");
    repaired("nft flush chain inet merlon denied_in");
    repaired("nft flush set inet merlon open4_32");
    repaired("nft add element inet merlon open4_32 { 192.0.2.8 . 10.1.0.4 . 6 . 22 timeout 1h }");
    repaired("nft delete table inet merlon");
    ASSERT_EQ(run_command("nft add table inet other"), 0);
    const auto seen = machine.firewall.watch(true).value();
    EXPECT_FALSE(seen.changed);
    EXPECT_TRUE(seen.others_changed);
  });
}

TEST(FirewallKernel, AuditDropsNothingAndCountsWhatItWould) {
  in_fresh_namespace([] {
    Machine machine;
    DesiredState state = web_machine(Mode::audit);
    state.interfaces[0].outbound_layers.push_back({"closed", {}, {}});
    must(machine.firewall.begin(state, {}, {}));
    std::ignore = machine.firewall.would_drop();
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80)));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
    EXPECT_TRUE(machine.passes(tcp("2001:db8::7", "fd00:1::4", 22)));
    EXPECT_TRUE(machine.passes({true, Protocol::icmp, address("192.0.2.7"), address("10.1.0.4"), 0, 0}));
    EXPECT_TRUE(
        machine.passes({false, Protocol::udp, address("10.1.0.4"), address("192.0.2.7"), 40000, 123}));
    // A segment from the middle of a connection that was there before us.
    const Flow running = tcp("192.0.2.7", "10.1.0.4", 80, 50000);
    machine.cable.send(running, 1, 0x10);
    const WouldDrop seen = machine.firewall.would_drop().value();
    EXPECT_EQ(seen.inbound, 4) << to_text(Json(seen.flows));  // the segment too
    EXPECT_EQ(seen.outbound, 1) << to_text(Json(seen.flows));
    std::set<std::string> flows;
    for (const Json& flow : seen.flows)
      flows.insert(string_at(flow.as_object(), "direction").value() + " " +
                   string_at(flow.as_object(), "peer").value() + " " +
                   string_at(flow.as_object(), "protocol").value() + " " +
                   std::to_string(int_at(flow.as_object(), "port").value()));
    EXPECT_TRUE(flows.contains("inbound 192.0.2.7 tcp 22"));
    EXPECT_TRUE(flows.contains("inbound 2001:db8::7 tcp 22"));
    EXPECT_TRUE(flows.contains("outbound 192.0.2.7 udp 123"));
    const WouldDrop again = machine.firewall.would_drop().value();
    EXPECT_EQ(again.inbound + again.outbound, 0);
    EXPECT_TRUE(again.flows.empty());
  });
}

TEST(FirewallKernel, ASegmentFromTheMiddleOfNothingIsNoNewFlow) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), {}, {}));
    const auto dropped = [&] {
      Nft nft = Nft::open().value();
      int64_t packets = 0;
      const JsonArray listing = nft.list("list counters table inet merlon").value();
      for (const JsonObject* counter : objects_of(listing, "counter"))
        if (string_at(*counter, "name").value().starts_with("dropped_"))
          packets += int_at(*counter, "packets").value();
      return packets;
    };
    const int64_t before = dropped();
    machine.cable.send(tcp("192.0.2.7", "10.1.0.4", 80, 50001), 1, 0x10);  // an allowed port
    Flow out = tcp("10.1.0.4", "192.0.2.7", 50002, 22);  // as a cut session's server would send
    out.inbound = false;
    machine.cable.send(out, 1, 0x18);
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80)));
    EXPECT_EQ(dropped() - before, 2);
  });
}

TEST(FirewallKernel, APortThatDockerPublishesIsJudgedAsPublished) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), internal({"docker*"}), {}));
    // A container's stand-in: an address behind a bridge, and the rules that Docker makes for -p 8080:80.
    must_run("ip link add docker0 type bridge");
    must_run("ip address add 172.17.0.1/16 dev docker0");
    must_run("ip address add 172.17.0.2/16 dev docker0");
    must_run("ip link set docker0 up");
    must_run("nft add table ip nat");
    must_run("nft add chain ip nat prerouting { type nat hook prerouting priority -100 ; }");
    must_run("nft add rule ip nat prerouting tcp dport 8080 dnat to 172.17.0.2:80");
    must_run("nft add rule ip nat prerouting tcp dport 80 dnat to 172.17.0.2:8080");
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 8080))) << "published, but not allowed";
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80)))
        << "allowed as published, whatever it becomes";
    must(
        machine.firewall.set_openings({opening("192.0.2.7", machine.now() + seconds(60), "10.1.0.4", 8080)}));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 8080)));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.8", "10.1.0.4", 8080)));
  });
}

TEST(FirewallKernel, AnUplinkIsOutsideWhateverItsName) {
  in_fresh_namespace([] {
    Machine machine;
    must(machine.firewall.begin(web_machine(), internal({"m*"}), {}));
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22))) << "m0 counts as internal here";
    must(machine.firewall.apply(web_machine(), internal({"m*"}, {"m0"})));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22)));
  });
}

TEST(FirewallKernel, OtherTablesThatMayDropAreNamed) {
  in_fresh_namespace([] {
    SystemClock clock;
    Firewall firewall = Firewall::open(clock).value();
    must(firewall.begin(web_machine(), {}, {}));
    EXPECT_TRUE(firewall.blockers().value().empty());
    must_run("nft add table inet filter");
    must_run("nft add chain inet filter input { type filter hook input priority 0 ; policy drop ; }");
    must_run("nft add chain inet filter output { type filter hook output priority 0 ; policy drop ; }");
    must_run("nft add table ip ufw");
    must_run("nft add chain ip ufw forward { type filter hook forward priority 0 ; policy accept ; }");
    must_run("nft add chain ip ufw harmless");
    must_run("nft add table ip6 calm");
    must_run("nft add chain ip6 calm input { type filter hook input priority 0 ; policy accept ; }");
    must_run("nft add rule ip6 calm input tcp dport 22 accept");
    EXPECT_EQ(firewall.blockers().value(), (std::vector<std::string>{"inet filter input (policy drop)"}));
    must_run("nft add rule ip ufw harmless tcp dport 22 reject");
    EXPECT_EQ(firewall.blockers().value(), (std::vector<std::string>{"inet filter input (policy drop)",
                                                                     "ip ufw forward (rules that drop)"}));
  });
}

TEST(FirewallKernel, TheClosedTableStillLetsNeighboursIn) {
  in_fresh_namespace([] {
    Machine machine;
    Platform platform;
    platform.resolvers = {address("fd00:1::fe"), address("10.1.0.254")};
    must(machine.firewall.begin(closed_state(), platform, {}));
    EXPECT_FALSE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 80)));
    EXPECT_FALSE(
        machine.passes({false, Protocol::udp, address("10.1.0.4"), address("192.0.2.7"), 40000, 123}));
    // Forget the neighbours: only a solicitation and its answer make them known again.
    must_run("ip -6 neigh flush all nud permanent");
    machine.peer.there([] { must_run("ip -6 neigh flush all nud permanent"); });
    EXPECT_NE(run_command("ip -6 neigh get fd00:1::fe dev m0", true), 0) << "not forgotten";
    machine.cable.send({false, Protocol::udp, address("fd00:1::4"), address("fd00:1::fe"), 40000, 53},
                       kFirstMark);
    EXPECT_TRUE(machine.cable.arrived({kFirstMark}).outbound.contains(kFirstMark));
    must(machine.firewall.remove());
    EXPECT_FALSE(machine.firewall.table_exists().value());
    EXPECT_TRUE(machine.passes(tcp("192.0.2.7", "10.1.0.4", 22))) << "released";
  });
}

}  // namespace
}  // namespace merlon::agent::testing
