// Random security groups and flows: the kernel's verdict on real packets must be the model's. Among the
// packets are those that no rule may stop.
#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "agent/firewall.h"
#include "agent/test_packets.h"

namespace merlon::agent::testing {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::FilterLayer;
using machine::FilterRule;
using machine::InterfacePolicy;
using machine::Mode;
using machine::Opening;
using machine::PortRange;

constexpr int kRuleSets = 250;
constexpr int kFlowsEach = 48;
constexpr uint32_t kMarks = 0xff00ff00;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }
IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  DesiredState state() {
    DesiredState made;
    made.mode = Mode::enforce;
    const int interfaces = one_in(12) ? 0 : below(2) + 1;
    for (int i = 0; i < interfaces; ++i) {
      InterfacePolicy policy;
      policy.nic_id = "nic";
      policy.primary = i == 0 ? !one_in(6) : one_in(4);
      policy.addresses = {address(i == 0 ? "10.1.0.4" : "10.1.0.5"),
                          address(i == 0 ? "fd00:1::4" : "fd00:1::5")};
      if (one_in(8)) policy.addresses.push_back(address("10.1.0.5"));
      for (int j = below(3); j > 0; --j) policy.inbound_layers.push_back(layer());
      for (int j = below(3); j > 0; --j) policy.outbound_layers.push_back(layer());
      made.interfaces.push_back(std::move(policy));
    }
    for (int i = below(5); i > 0; --i) made.openings.push_back(opening(i));
    return made;
  }

  Flow flow() {
    Flow made;
    const bool v4 = below(5) < 3;
    made.inbound = one_in(2);
    made.protocol = pick<Protocol>({Protocol::tcp, Protocol::tcp, Protocol::udp, Protocol::udp,
                                    Protocol::icmp, Protocol::esp, Protocol::ah, Protocol::any});
    const IpAddress own = address(v4 ? pick<const char*>({"10.1.0.4", "10.1.0.5", "10.1.0.6"})
                                     : pick<const char*>({"fd00:1::4", "fd00:1::5", "fd00:1::6"}));
    const IpAddress other = address(v4 ? pick<const char*>({"192.0.2.7", "192.0.2.8", "192.0.2.200",
                                                            "198.51.100.9", "10.9.1.1", "203.0.113.5"})
                                       : pick<const char*>({"2001:db8:1::7", "2001:db8:1::8",
                                                            "2001:db8:1:2::9", "fd00:9::1", "2620::1"}));
    made.source = made.inbound ? other : own;
    made.destination = made.inbound ? own : other;
    if (made.protocol == Protocol::tcp || made.protocol == Protocol::udp) {
      made.source_port = port();
      made.destination_port = port();
    }
    return made;
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  bool one_in(int count) { return below(count) == 0; }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return *(values.begin() + below(static_cast<int>(values.size())));
  }
  // Never those of DHCP (67, 68, 546, 547): they are platform rules, which the model leaves to the kernel.
  uint16_t port() {
    return pick<uint16_t>({1, 21, 22, 23, 79, 80, 81, 443, 1023, 1024, 3389, 40000, 65534, 65535});
  }

  FilterLayer layer() {
    FilterLayer made;
    made.name = "group";
    for (int i = below(7); i > 0; --i) made.inbound.push_back(rule());
    for (int i = below(7); i > 0; --i) made.outbound.push_back(rule());
    if (one_in(3)) made.inbound.push_back(allow_all());
    if (one_in(2)) made.outbound.push_back(allow_all());
    return made;
  }
  static FilterRule allow_all() {
    FilterRule made;
    made.access = Access::allow;
    made.sources = made.destinations = {prefix("0.0.0.0/0"), prefix("::/0")};
    made.source_ports = made.destination_ports = {PortRange{}};
    return made;
  }
  FilterRule rule() {
    FilterRule made;
    made.access = one_in(2) ? Access::allow : Access::deny;
    made.protocol = static_cast<Protocol>(below(6));
    made.sources = prefixes();
    made.destinations = prefixes();
    made.source_ports = one_in(3) ? ports() : std::vector<PortRange>{PortRange{}};
    made.destination_ports = one_in(3) ? std::vector<PortRange>{PortRange{}} : ports();
    return made;
  }
  std::vector<IpPrefix> prefixes() {
    std::vector<IpPrefix> made;
    if (one_in(2)) made = {prefix("0.0.0.0/0"), prefix("::/0")};
    for (int i = below(5); i > 0; --i)
      made.push_back(
          prefix(pick<const char*>({"0.0.0.0/0",    "::/0",           "192.0.2.0/24",    "192.0.2.7",
                                    "192.0.2.0/29", "192.0.2.128/25", "198.51.100.0/24", "10.0.0.0/8",
                                    "10.1.0.0/24",  "10.1.0.4",       "10.1.0.5",        "203.0.113.0/31",
                                    "128.0.0.0/1",  "2001:db8::/32",  "2001:db8:1::/64", "2001:db8:1::7",
                                    "fd00::/8",     "fd00:1::4",      "fd00:1::/64",     "8000::/1"})));
    return made;
  }
  std::vector<PortRange> ports() {
    std::vector<PortRange> made;
    for (int i = below(4); i > 0; --i)
      made.push_back(pick<PortRange>({{22, 22},
                                      {0, 1023},
                                      {1024, 65535},
                                      {80, 81},
                                      {79, 80},
                                      {443, 443},
                                      {0, 65535},
                                      {65535, 65535},
                                      {1, 22},
                                      {22, 40000},
                                      {0, 0}}));
    return made;
  }
  Opening opening(int number) {
    Opening made;
    made.id = "opening" + std::to_string(number);
    made.protocol = pick<Protocol>({Protocol::tcp, Protocol::udp, Protocol::any});
    const bool v4 = one_in(2);
    made.source =
        prefix(v4 ? pick<const char*>({"192.0.2.7", "192.0.2.0/24", "192.0.2.0/29", "0.0.0.0/0", "10.9.1.1"})
                  : pick<const char*>({"2001:db8:1::7", "2001:db8:1::/64", "::/0", "2001:db8::/32"}));
    made.destination = address(v4 ? pick<const char*>({"10.1.0.4", "10.1.0.5", "10.1.0.6"})
                                  : pick<const char*>({"fd00:1::4", "fd00:1::5"}));
    made.port = pick<uint16_t>({22, 80, 443, 3389});
    made.cut_established = one_in(2);
    return made;
  }
  std::mt19937 random_;
};

using Tuple = std::tuple<IpAddress, IpAddress, int, int, int>;
Tuple unordered(const Flow& flow) {
  const auto forward = std::pair(flow.source, flow.source_port);
  const auto back = std::pair(flow.destination, flow.destination_port);
  const auto& [low, high] = std::minmax(forward, back);
  return {low.first, high.first, low.second, high.second, static_cast<int>(flow.protocol)};
}

std::string describe(const Flow& flow) {
  return std::string(flow.inbound ? "inbound " : "outbound ") +
         std::string(machine::protocol_text(flow.protocol)) + " " + flow.source.text() + "|" +
         std::to_string(flow.source_port) + " -> " + flow.destination.text() + "|" +
         std::to_string(flow.destination_port);
}

// Packets of the platform: whatever the rules are, these pass (kernel.md, "What must always pass").
std::vector<Flow> platform_flows() {
  const auto flow = [](bool inbound, Protocol protocol, std::string_view from, std::string_view to,
                       uint16_t source, uint16_t destination) {
    return Flow{inbound, protocol, address(from), address(to), source, destination};
  };
  return {flow(true, Protocol::udp, "10.1.0.254", "10.1.0.4", 67, 68),
          flow(false, Protocol::udp, "10.1.0.4", "10.1.0.254", 68, 67),
          flow(true, Protocol::udp, "fe80::fe", "fd00:1::4", 547, 546),
          flow(false, Protocol::udp, "10.1.0.4", "9.9.9.9", 40001, 53),
          flow(false, Protocol::tcp, "10.1.0.5", "9.9.9.9", 40001, 53),
          flow(false, Protocol::udp, "fd00:1::4", "2620:fe::fe", 40001, 53),
          flow(false, Protocol::tcp, "10.1.0.4", "192.0.2.99", 40002, 8443)};
}

std::vector<LiveOpening> live(const DesiredState& state, Duration deadline) {
  std::vector<LiveOpening> openings;
  for (const Opening& opening : state.openings)
    openings.push_back(
        {opening.id, opening.protocol, opening.source, opening.destination, opening.port, deadline,
         opening.cut_established ? mark_at(static_cast<uint32_t>(openings.size()) + 1, kMarks).value() : 0});
  return openings;
}

class Property {
 public:
  Property() : firewall_(Firewall::open(clock_).value()), cable_(peer_) {
    platform_.resolvers = {address("9.9.9.9"), address("2620:fe::fe")};
    // The tests send as root.
    platform_.contact = {{address("192.0.2.99")}, 8443, 0};
    platform_.mark_mask = kMarks;
  }

  void check(unsigned seed) {
    Maker maker(seed);
    DesiredState state = maker.state();
    const Timestamp now(std::chrono::hours(1));
    for (Opening& opening : state.openings) opening.deadline = now + std::chrono::hours(1);
    const auto applied = firewall_.apply(state, platform_);
    ASSERT_TRUE(applied) << seed << ": " << applied.error().message;
    const auto opened = firewall_.set_openings(live(state, clock_.boottime() + std::chrono::hours(1)));
    ASSERT_TRUE(opened) << seed << ": " << opened.error().message;
    ASSERT_EQ(run_command("conntrack -F", true), 0);
    std::map<uint32_t, Flow> sent;
    std::set<Tuple> tuples;
    for (int i = 0; i < kFlowsEach; ++i) {
      const Flow flow = maker.flow();
      if (tuples.insert(unordered(flow)).second) sent.emplace(++mark_, flow);
    }
    for (const auto& [mark, flow] : sent) cable_.send(flow, mark);
    std::set<uint32_t> awaited;
    for (const Flow& flow : platform_flows()) {
      cable_.send(flow, ++mark_);
      awaited.insert(mark_);
    }
    const Cable::Arrived got = cable_.arrived(awaited);
    for (const uint32_t mark : awaited)
      EXPECT_TRUE(got.inbound.contains(mark) || got.outbound.contains(mark))
          << "seed " << seed << ": a platform packet was stopped, number " << mark - *awaited.begin();
    for (const auto& [mark, flow] : sent) {
      const machine::Verdict verdict = machine::judge(state, flow, now);
      const bool passed = (flow.inbound ? got.inbound : got.outbound).contains(mark);
      ++(passed ? passed_ : stopped_);
      EXPECT_EQ(passed, verdict.access == Access::allow)
          << "seed " << seed << ": " << describe(flow) << "; the model says " << verdict.rule << "\n"
          << to_text(state.to_json());
    }
  }
  int passed() const { return passed_; }
  int stopped() const { return stopped_; }

 private:
  SystemClock clock_;
  Peer peer_;
  Firewall firewall_;
  Cable cable_;
  Platform platform_;
  uint32_t mark_ = kFirstMark;
  int passed_ = 0, stopped_ = 0;
};

TEST(FirewallProperty, TheKernelDecidesAsTheModelDoes) {
  in_fresh_namespace([] {
    Property property;
    for (unsigned seed = 1; seed <= kRuleSets && !::testing::Test::HasFailure(); ++seed) property.check(seed);
    // A test in which everything passes, or nothing, compares nothing.
    EXPECT_GT(property.passed(), kRuleSets * 10);
    EXPECT_GT(property.stopped(), kRuleSets * 5);
  });
}

}  // namespace
}  // namespace merlon::agent::testing
