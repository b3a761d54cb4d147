// Flow logs at the machine: real packets in a real kernel, told with the rule that decided; and nothing in
// the rules while no log is on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/firewall.h"
#include "agent/test_sockets.h"

namespace merlon::agent::testing {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::FilterRule;
using machine::FlowReport;
using machine::FlowState;
using machine::InterfacePolicy;
using machine::Mode;
using machine::ReportedFlow;
using ::testing::HasSubstr;
using ::testing::Not;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

FilterRule rule(const std::string& name, int64_t priority, Access access, uint16_t first, uint16_t last) {
  FilterRule made;
  made.name = name;
  made.priority = priority;
  made.access = access;
  made.sources = made.destinations = {*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0")};
  made.source_ports = {{0, 65535}};
  made.destination_ports = {{first, last}};
  return made;
}

// The subnet's group lets 80 to 90 in, the interface's own 80 alone.
DesiredState two_layers(bool flow_log, Mode mode = Mode::enforce) {
  DesiredState state;
  state.version = {1, 7};
  state.mode = mode;
  InterfacePolicy policy;
  policy.nic_id = "nic";
  policy.addresses = {address("10.1.0.4")};
  policy.primary = true;
  policy.flow_log = flow_log;
  policy.inbound_layers.push_back({"subnet-group", {rule("wide", 100, Access::allow, 80, 90)}, {}});
  policy.inbound_layers.push_back(
      {"own-group",
       {rule("web", 100, Access::allow, 80, 80), rule("DenyAllInBound", 65500, Access::deny, 0, 65535)},
       {}});
  policy.outbound_layers.push_back({"own-group", {}, {rule("out", 100, Access::allow, 0, 65535)}});
  state.interfaces = {policy};
  return state;
}

// What is told of flows to or from a port, as "group/rule state direction".
std::vector<std::string> told(const FlowReport& report, uint16_t port) {
  std::vector<std::string> texts;
  for (const ReportedFlow& flow : report.flows) {
    if (flow.destination_port != port) continue;
    const FlowReport::Rule& by = report.rules.at(flow.rule);
    texts.push_back(by.group + "/" + by.name + " " + "BED"[static_cast<size_t>(flow.state)] +
                    (flow.inbound ? " in" : " out"));
  }
  return texts;
}

void must(const Result<void>& done) {
  ASSERT_TRUE(done) << done.error().message << " " << done.error().cause;
}

// What the kernel holds back for a moment comes too.
FlowReport listen(Firewall& firewall, FlowBook& book) {
  for (int i = 0; i < 10; ++i) {
    ::usleep(60'000);
    must(firewall.follow_flows(book));
  }
  return book.take(SystemClock().boottime());
}

TEST(FirewallFlows, NewDeniedAndEndedFlowsAreToldWithTheirRules) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    FlowBook book;
    must(firewall.begin(two_layers(true), {}, {}));
    must(firewall.follow_flows(book));
    const Socket web = bound(SOCK_STREAM, address("10.1.0.4"), 80);
    const Socket other = bound(SOCK_STREAM, address("10.1.0.4"), 85);
    {
      const Talk session = talk(peer, web, address("10.1.0.4"), 80);
      ASSERT_TRUE(session && session.flows());
    }
    EXPECT_FALSE(talk(peer, other, address("10.1.0.4"), 85));
    EXPECT_FALSE(talk(peer, other, address("10.1.0.4"), 99));
    Socket there;
    peer.there([&] { there = bound(SOCK_STREAM, address("10.1.0.254"), 7000); });
    EXPECT_TRUE(connected(SOCK_STREAM, address("10.1.0.254"), 7000));
    const FlowReport begun = listen(firewall, book);
    EXPECT_THAT(told(begun, 80), ::testing::ElementsAre("subnet-group/wide B in", "own-group/web B in"));
    EXPECT_THAT(told(begun, 85),
                ::testing::ElementsAre("subnet-group/wide B in", "own-group/DenyAllInBound D in"));
    EXPECT_THAT(told(begun, 99), ::testing::ElementsAre("subnet-group/ D in")) << "no rule matched";
    EXPECT_THAT(told(begun, 7000), ::testing::ElementsAre("own-group/out B out"));
    EXPECT_EQ(begun.lost, 0);
    for (const ReportedFlow& flow : begun.flows)
      if (flow.destination_port == 80) EXPECT_EQ(flow.source, address("10.1.0.254"));
    ASSERT_EQ(run_command("conntrack -F", true), 0);
    const FlowReport ended = listen(firewall, book);
    ASSERT_THAT(told(ended, 80), ::testing::ElementsAre("subnet-group/wide E in", "own-group/web E in"));
    EXPECT_GT(ended.flows.front().packets_sent, 2);
    EXPECT_GT(ended.flows.front().bytes_back, 100);
    EXPECT_GT(ended.batch, begun.batch);
  });
}

TEST(FirewallFlows, InAuditModeWhatWouldBeDeniedIsToldAsLetThrough) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    FlowBook book;
    must(firewall.begin(two_layers(true, Mode::audit), {}, {}));
    must(firewall.follow_flows(book));
    const Socket other = bound(SOCK_STREAM, address("10.1.0.4"), 85);
    const Talk session = talk(peer, other, address("10.1.0.4"), 85);
    EXPECT_TRUE(session);
    EXPECT_THAT(told(listen(firewall, book), 85),
                ::testing::ElementsAre("subnet-group/wide B in", "own-group/DenyAllInBound B in"));
  });
}

TEST(FirewallFlows, AnOpeningsFlowsAreToldAsItsOwn) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    FlowBook book;
    must(firewall.begin(two_layers(true), {}, {}));
    must(firewall.follow_flows(book));
    must(firewall.set_openings({{"grant/0", machine::Protocol::tcp, *IpPrefix::parse("10.1.0.254"),
                                 address("10.1.0.4"), 22, clock.boottime() + std::chrono::seconds(60), 0}}));
    const Socket ssh = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    EXPECT_TRUE(talk(peer, ssh, address("10.1.0.4"), 22));
    const FlowReport report = listen(firewall, book);
    ASSERT_THAT(told(report, 22), ::testing::ElementsAre("/grant/0 B in"));
    EXPECT_TRUE(report.rules.at(report.flows.front().rule).is_opening);
  });
}

TEST(FirewallFlows, AFloodIsCountedAndFitsWhatIsKept) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    Firewall firewall = Firewall::open(clock).value();
    FlowBook book;
    must(firewall.begin(two_layers(true), {}, {}));
    must(firewall.follow_flows(book));
    constexpr int kFlows = 3000;
    peer.there([&] {
      for (int i = 0; i < kFlows; ++i) {
        const Socket one(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_storage to{};
        const socklen_t size = to_sockaddr(address("10.1.0.4"), static_cast<uint16_t>(10'000 + i), to);
        ::sendto(one.fd(), "m", 1, 0, reinterpret_cast<const sockaddr*>(&to), size);
      }
    });
    const FlowReport report = listen(firewall, book);
    EXPECT_EQ(report.flows.size(), machine::kReportedFlowsMax);
    EXPECT_EQ(static_cast<int64_t>(report.flows.size()) + report.lost, kFlows);
  });
}

TEST(FirewallFlows, OffItCostsNothing) {
  const std::string off = rules_text(two_layers(false), {}, {{IpFamily::v4, 32}}, {});
  EXPECT_THAT(off, Not(HasSubstr("log")));
  const std::string on = rules_text(two_layers(true), {}, {{IpFamily::v4, 32}}, {});
  EXPECT_THAT(on, HasSubstr("log prefix f1_7_in_0_1_0 group 19788 snaplen 128 return"));
  in_fresh_namespace([] {
    const SystemClock clock;
    Firewall firewall = Firewall::open(clock).value();
    FlowBook book;
    must(firewall.begin(two_layers(true), {}, {}));
    must(firewall.follow_flows(book));
    std::ifstream counting("/proc/sys/net/netfilter/nf_conntrack_acct");
    EXPECT_EQ(counting.get(), '1');
    must(firewall.apply(two_layers(false), {}));
    must(firewall.follow_flows(book));
    std::ifstream again("/proc/sys/net/netfilter/nf_conntrack_acct");
    EXPECT_EQ(again.get(), '0') << "as it was before";
    std::ifstream loggers("/proc/net/netfilter/nfnetlink_log");
    EXPECT_EQ(loggers.get(), EOF) << "nobody listens";
  });
}

TEST(FirewallFlows, LabelsOfOtherRulesMeanNothing) {
  const DesiredState state = two_layers(true);
  EXPECT_EQ(read_label("f1_7_in_0_1_1", state)->rule, 1U);
  EXPECT_FALSE(read_label("f1_7_in_0_1_x", state)->rule.has_value());
  EXPECT_TRUE(read_label("f1_7_o", state)->is_opening);
  for (const char* wrong :
       {"", "f", "f1_8_in_0_1_1", "f1_7_in_1_0_0", "f1_7_in_0_2_0", "f1_7_in_0_1_2", "f1_7_up_0_0_0",
        "f1_7_in_0_1", "f1_7_in_0_1_1_1", "f1_7_in_x_x_x", "f1_7_in_-1_0_0", "anything"})
    EXPECT_FALSE(read_label(wrong, state).has_value()) << wrong;
}

}  // namespace
}  // namespace merlon::agent::testing
