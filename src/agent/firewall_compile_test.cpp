// Golden texts of the compiler: what the kernel is told, line by line. What the lines mean is compared with
// the model on real packets in firewall_property_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "agent/firewall.h"
#include "agent/firewall_layer.h"

namespace merlon::agent {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::FilterRule;
using machine::InterfacePolicy;
using machine::Mode;
using machine::PortRange;
using machine::Protocol;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }
IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }

FilterRule rule(Protocol protocol, const std::vector<std::string>& sources,
                const std::vector<std::string>& destinations, std::vector<PortRange> source_ports,
                std::vector<PortRange> destination_ports) {
  FilterRule made;
  made.access = Access::allow;
  made.protocol = protocol;
  for (const std::string& text : sources) made.sources.push_back(prefix(text));
  for (const std::string& text : destinations) made.destinations.push_back(prefix(text));
  made.source_ports = std::move(source_ports);
  made.destination_ports = std::move(destination_ports);
  return made;
}
const std::vector<std::string> kAny = {"0.0.0.0/0", "::/0"};
const PortRange kAll{0, 65535};

TEST(FirewallLayer, AnyMatchesEachFamilyAndNothingElse) {
  EXPECT_THAT(rule_matches(rule(Protocol::any, kAny, kAny, {kAll}, {kAll})),
              ElementsAre("meta nfproto ipv4 ", "meta nfproto ipv6 "));
}

TEST(FirewallLayer, EmptyListsMatchNothing) {
  EXPECT_THAT(rule_matches(rule(Protocol::any, {}, kAny, {kAll}, {kAll})), IsEmpty());
  EXPECT_THAT(rule_matches(rule(Protocol::any, kAny, {}, {kAll}, {kAll})), IsEmpty());
  EXPECT_THAT(rule_matches(rule(Protocol::tcp, kAny, kAny, {}, {kAll})), IsEmpty());
  EXPECT_THAT(rule_matches(rule(Protocol::tcp, kAny, kAny, {kAll}, {})), IsEmpty());
  EXPECT_THAT(rule_matches(rule(Protocol::tcp, {"10.0.0.0/8"}, {"fd00::/8"}, {kAll}, {kAll})), IsEmpty());
}

TEST(FirewallLayer, OverlapsAreMergedSinceTheKernelRefusesThem) {
  EXPECT_THAT(rule_matches(rule(Protocol::tcp,
                                {"10.1.0.0/16", "10.0.0.0/8", "192.0.2.7", "192.0.2.0/24", "192.0.2.7"},
                                {"10.0.0.4"}, {kAll}, {{80, 90}, {22, 22}, {85, 100}, {101, 101}, {22, 22}})),
              ElementsAre("ip saddr { 10.0.0.0/8, 192.0.2.0/24 } ip daddr 10.0.0.4 meta l4proto tcp th dport "
                          "{ 22, 80-101 } "));
}

TEST(FirewallLayer, PortsSayNothingAboutProtocolsWithoutThem) {
  EXPECT_THAT(rule_matches(rule(Protocol::any, {"10.0.0.0/8"}, {"0.0.0.0/0"}, {kAll}, {{22, 22}})),
              ElementsAre("ip saddr 10.0.0.0/8 meta l4proto { tcp, udp } th dport 22 "));
  EXPECT_THAT(
      rule_matches(rule(Protocol::any, {"10.0.0.0/8"}, {"0.0.0.0/0"}, {kAll}, {{0, 1000}, {1001, 65535}})),
      ElementsAre("ip saddr 10.0.0.0/8 meta l4proto { tcp, udp } "));
  for (const Protocol protocol : {Protocol::icmp, Protocol::esp, Protocol::ah})
    EXPECT_THAT(rule_matches(rule(protocol, kAny, kAny, {kAll}, {{22, 22}})), IsEmpty());
  EXPECT_THAT(
      rule_matches(rule(Protocol::icmp, kAny, kAny, {kAll}, {kAll})),
      ElementsAre("meta nfproto ipv4 meta l4proto icmp ", "meta nfproto ipv6 meta l4proto ipv6-icmp "));
}

DesiredState two_interfaces() {
  DesiredState state;
  state.mode = Mode::enforce;
  InterfacePolicy first;
  first.nic_id = "/subscriptions/x\"; flush ruleset; #";
  first.primary = true;
  first.addresses = {address("10.0.0.4"), address("fd00::4")};
  FilterRule ssh = rule(Protocol::tcp, {"192.0.2.0/24"}, kAny, {kAll}, {{22, 22}});
  ssh.name = "{ evil } ; delete table inet merlon";
  first.inbound_layers.push_back(
      {"group", {ssh, rule(Protocol::any, {"192.0.2.9"}, kAny, {kAll}, {kAll})}, {}});
  first.inbound_layers[0].inbound[1].access = Access::deny;
  InterfacePolicy second;
  second.addresses = {address("10.0.0.5"), address("10.0.0.4")};
  state.interfaces = {first, second};
  return state;
}

// The text is a file of its own: its lines are as long as they are.
std::string golden() {
  std::ifstream file(MERLON_SOURCE_DIR "/src/agent/firewall_golden.nft");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(FirewallCompile, TheWholeTextOfASmallMachine) {
  Platform platform;
  platform.internal_interfaces = {"docker*", "br-*", "bad\" name"};
  platform.uplinks = {"br-lan"};
  platform.resolvers = {address("9.9.9.9"), address("2620:fe::fe")};
  platform.contact = {{address("198.51.100.1")}, 8443, 65534};
  platform.mark_mask = 0xff00ff00;
  EXPECT_EQ(rules_text(two_interfaces(), platform,
                       {{IpFamily::v4, 32},
                        {IpFamily::v4, 0},
                        {IpFamily::v6, 64},
                        {IpFamily::v4, 24, true},
                        {IpFamily::v6, 128, true}},
                       {"in_9"}),
            golden());
}

TEST(FirewallCompile, OnlyTheAgentReachesTheOtherServersAndOnlyThere) {
  Platform platform;
  platform.contact = {{address("198.51.100.1")}, 8443, 65534, {*ServerRange::parse("198.51.100.0/28:8444")}};
  const std::string text = rules_text(two_interfaces(), platform, {}, {});
  EXPECT_THAT(text,
              HasSubstr("postrouting meta skuid 65534 ip daddr 198.51.100.0/28 tcp dport 8444 accept\n"));
  EXPECT_TRUE(platform.contact.holds(address("198.51.100.1"), 8443));
  EXPECT_TRUE(platform.contact.holds(address("198.51.100.3"), 8444));
  EXPECT_FALSE(platform.contact.holds(address("198.51.100.3"), 8443));
}

TEST(FirewallCompile, NothingThatTheServerWroteReachesTheText) {
  const std::string text = rules_text(two_interfaces(), {}, {}, {});
  EXPECT_THAT(text, Not(HasSubstr("evil")));
  EXPECT_THAT(text, Not(HasSubstr("subscriptions")));
}

TEST(FirewallCompile, AuditGoesTheSameWayAndAccepts) {
  DesiredState state = two_interfaces();
  const std::string enforced = rules_text(state, {}, {}, {});
  state.mode = Mode::audit;
  const std::string audited = rules_text(state, {}, {}, {});
  EXPECT_THAT(audited, Not(HasSubstr("drop\n")));
  EXPECT_THAT(audited, HasSubstr("denied_in counter name would_in accept"));
  EXPECT_THAT(enforced, HasSubstr("denied_in counter name dropped_in drop"));
  EXPECT_EQ(audited.substr(0, audited.find("denied_in meta")),
            enforced.substr(0, audited.find("denied_in meta")));
}

TEST(FirewallCompile, InterfacePatternsThatWouldOpenEverythingOrEndTheTextAreRefused) {
  for (const std::string_view good : {"docker*", "br-*", "wg0", "eth0.100", "veth@*"})
    EXPECT_TRUE(is_interface_pattern(good)) << good;
  for (const std::string_view bad :
       {"", "*", "a b", "\"", "eth0\"", "a}b", "abcdefghijklmnop", "eth*0", "a\nb", "**"})
    EXPECT_FALSE(is_interface_pattern(bad)) << bad;
}

LiveOpening live(std::string_view source, std::string_view to, Protocol protocol, int64_t deadline) {
  return {"id", protocol, prefix(source), address(to), 22, Duration(deadline)};
}

TEST(FirewallOpenings, AKeyHasTheLatestDeadlineOfItsOpenings) {
  const Elements elements = elements_of({live("192.0.2.7", "10.0.0.4", Protocol::tcp, 5000),
                                         live("192.0.2.7", "10.0.0.4", Protocol::any, 9000),
                                         live("192.0.2.7", "10.0.0.4", Protocol::tcp, 7000)});
  ASSERT_EQ(elements.size(), 2U);  // TCP and UDP
  for (const auto& [key, value] : elements) EXPECT_EQ(value.deadline, Duration(9000));
}

TEST(FirewallOpenings, MarksLieWithinTheirBitsAndEnd) {
  EXPECT_EQ(mark_at(1, 0xff00ff00), 0x00000100U);
  EXPECT_EQ(mark_at(2, 0xff00ff00), 0x00000200U);
  EXPECT_EQ(mark_at(0x1ff, 0xff00ff00), 0x0100ff00U);
  EXPECT_EQ(mark_at(0xffff, 0xff00ff00), 0xff00ff00U);
  EXPECT_EQ(mark_at(0x10000, 0xff00ff00), std::nullopt);
  EXPECT_EQ(mark_at(0, 0xff00ff00), std::nullopt) << "no mark at all is no mark";
  std::set<uint32_t> all;
  for (uint32_t i = 1; i < 256; ++i) all.insert(mark_at(i, 0x80c00f10U).value());
  EXPECT_EQ(all.size(), 255U);
}

TEST(FirewallOpenings, AMapsElementLeadsToTheMarkOfTheOpeningThatEndsLast) {
  auto first = live("192.0.2.7", "10.0.0.4", Protocol::tcp, 5000);
  auto second = live("192.0.2.7", "10.0.0.4", Protocol::tcp, 9000);
  first.mark = 0x100;
  second.mark = 0x200;
  const Elements both = elements_of({first, second});
  EXPECT_EQ(
      element_changes_text(elements_of({first}), both, Duration(1000)),
      "add element inet merlon cut4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 timeout 1s : 0x00000100 }\n"
      "delete element inet merlon cut4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 : 0x00000100 }\n"
      "add element inet merlon cut4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 timeout 7980ms : 0x00000200 }\n");
  EXPECT_EQ(mark_changes_text(marks_of({first}), marks_of({second}), Duration(1000)),
            "add element inet merlon live { 0x00000100 timeout 1s, 0x00000200 timeout 1s }\n"
            "delete element inet merlon live { 0x00000100, 0x00000200 }\n"
            "add element inet merlon live { 0x00000200 timeout 7980ms }\n");
}

TEST(FirewallOpenings, AnElementIsTakenOutBeforeItIsPutIn) {
  const Elements one = elements_of({live("192.0.2.7", "10.0.0.4", Protocol::tcp, 5000)});
  EXPECT_EQ(element_changes_text({}, one, Duration(1000)),
            "add element inet merlon open4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 timeout 1s }\n"
            "delete element inet merlon open4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 }\n"
            "add element inet merlon open4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 timeout 3980ms }\n");
  EXPECT_EQ(element_changes_text(one, one, Duration(2000)), "") << "nothing changed, nothing is written";
  EXPECT_EQ(element_changes_text(one, {}, Duration(2000)),
            "add element inet merlon open4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 timeout 1s }\n"
            "delete element inet merlon open4_32 { 192.0.2.7 . 10.0.0.4 . 6 . 22 }\n");
}

TEST(FirewallOpenings, NoElementIsWrittenThatCouldRoundToNoTimeout) {
  const Elements one = elements_of({live("::/0", "fd00::4", Protocol::tcp, 5000)});
  EXPECT_EQ(element_changes_text({}, one, Duration(4931)), "");
  EXPECT_THAT(element_changes_text({}, one, Duration(4930)), HasSubstr("fd00::4 . 6 . 22 timeout 50ms"));
  EXPECT_EQ(element_changes_text({}, one, Duration(6000)), "");
}

TEST(FirewallReport, ChainsOfOthersOnInboundHooksAreFound) {
  const auto listing = [](std::string_view text) { return parse_json(text).value().as_array(); };
  const auto chains = other_chains(listing(R"([
    {"metainfo":{}},
    {"chain":{"family":"inet","table":"merlon","name":"prerouting","hook":"prerouting","type":"filter","policy":"drop"}},
    {"chain":{"family":"inet","table":"filter","name":"input","hook":"input","type":"filter","policy":"drop"}},
    {"chain":{"family":"inet","table":"filter","name":"output","hook":"output","type":"filter","policy":"drop"}},
    {"chain":{"family":"ip","table":"nat","name":"pre","hook":"prerouting","type":"nat","policy":"accept"}},
    {"chain":{"family":"inet","table":"filter","name":"plain"}},
    {"chain":"odd"}, 7])"));
  ASSERT_EQ(chains.size(), 1U);
  EXPECT_EQ(chains[0].text(), "inet filter input");
  EXPECT_TRUE(has_dropping_rule(listing(R"([{"rule":{"expr":[{"match":{}},{"drop":null}]}}])")));
  EXPECT_TRUE(has_dropping_rule(
      listing(R"([{"rule":{"expr":[{"vmap":{"data":{"set":[["a",{"reject":null}]]}}}]}}])")));
  EXPECT_FALSE(has_dropping_rule(listing(R"([{"rule":{"expr":[{"accept":null}]}}, {"rule":{}}])")));
}

}  // namespace
}  // namespace merlon::agent
