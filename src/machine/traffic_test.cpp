// Reports are bounded and strict; proposals let in what was seen and no more; whom enforcement would lock out
// is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/time_text.h"
#include "machine/proposal.h"

namespace merlon::machine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Timestamp kNow = *from_rfc3339("2026-11-22T12:00:00Z");

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

FilterRule rule(std::string name, Access access, uint16_t port) {
  return {.name = std::move(name),
          .priority = 1000,
          .access = access,
          .protocol = Protocol::tcp,
          .sources = {*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0")},
          .destinations = {*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0")},
          .source_ports = {{0, 65535}},
          .destination_ports = {{port, port}}};
}

DesiredState state(std::vector<FilterRule> rules = {}) {
  DesiredState made;
  InterfacePolicy nic;
  nic.addresses = {address("10.0.0.4"), address("fd00::4")};
  nic.primary = true;
  nic.inbound_layers = {{.name = "/subnet-nsg", .inbound = {rule("all", Access::allow, 0)}, .outbound = {}},
                        {.name = "/nic-nsg", .inbound = std::move(rules), .outbound = {}}};
  nic.inbound_layers.front().inbound.front().destination_ports = {{0, 65535}};
  made.interfaces = {nic};
  return made;
}

Traffic traffic(std::vector<uint16_t> listening) {
  Traffic made;
  TrafficReport report;
  for (const uint16_t port : listening)
    report.listeners.push_back({Protocol::tcp, IpAddress::from_v4(0), port});
  made.note(report, kNow);
  return made;
}

void drop(Traffic& into, std::string_view peer, uint16_t port, std::string_view protocol = "tcp") {
  into.note_would_drop({{"flows", JsonArray{JsonObject{{"direction", "inbound"},
                                                       {"peer", peer},
                                                       {"protocol", protocol},
                                                       {"port", int64_t{port}},
                                                       {"packets", 3}}}}},
                       kNow);
}

JsonObject through_text(const JsonObject& json) { return parse_json_object(to_text(json)).value(); }

TEST(Traffic, IsKeptWithinBoundsAndReadsBack) {
  Traffic seen = traffic({443});
  for (unsigned i = 0; i < 200; ++i) drop(seen, "203.0.113." + std::to_string(i), 443);
  for (unsigned i = 1; i <= 2000; ++i) drop(seen, "192.0.2.1", static_cast<uint16_t>(i));
  EXPECT_LE(seen.inbound.size(), 512U);
  EXPECT_EQ((seen.inbound[{Protocol::tcp, 443}].peers.size()), 64U);
  EXPECT_TRUE((seen.inbound[{Protocol::tcp, 443}].more));
  const auto again = Traffic::from_json(through_text(seen.to_json()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_text(again->to_json()), to_text(seen.to_json()));
  // What a machine says may be anything.
  seen.note_would_drop({{"flows", "many"}}, kNow);
  seen.note_would_drop({{"flows", JsonArray{7, JsonObject{{"direction", "inbound"}, {"peer", "x"}}}}}, kNow);
  JsonObject report = TrafficReport().to_json();
  EXPECT_TRUE(TrafficReport::from_json(through_text(report)));
  report["sessions"] = JsonArray{JsonObject{{"peer", "nobody"}, {"address", "10.0.0.4"}, {"port", 22}}};
  EXPECT_FALSE(TrafficReport::from_json(through_text(report)));
}

TEST(Proposal, LetsInWhatWasSeenAndNoMore) {
  Traffic seen = traffic({443, 8080, 9000});
  drop(seen, "203.0.113.7", 8080);
  drop(seen, "2001:db8::7", 8080);
  for (unsigned i = 0; i < 40; ++i) drop(seen, "198.51." + std::to_string(i) + ".1", 443);
  drop(seen, "203.0.113.7", 9000);
  drop(seen, "203.0.113.66", 23);
  const Proposal made = propose(state({rule("web", Access::allow, 9000)}), seen, kNow);
  ASSERT_EQ(made.rules.size(), 2U) << "9000 is let in already, on 23 nothing listens";
  EXPECT_EQ(to_text(made.rules[0].to_json().at("properties").as_object().at("sourceAddressPrefix")), "\"*\"");
  EXPECT_EQ(made.rules[0].name, "Seen-Tcp-443");
  EXPECT_EQ(made.rules[0].priority, 1001) << "1000 is taken";
  EXPECT_EQ(made.rules[1].port, 8080);
  EXPECT_THAT(made.rules[1].sources,
              ElementsAre(*IpPrefix::parse("203.0.113.7"), *IpPrefix::parse("2001:db8::7")));
  ASSERT_EQ(made.notes.size(), 1U);
  EXPECT_THAT(made.notes[0], HasSubstr("1 ports were tried"));
  EXPECT_EQ(group_for_proposal(state()), "/nic-nsg");
}

TEST(Proposal, NeverOpensAnAdministrationPortToEverybody) {
  Traffic seen = traffic({22, 3389});
  for (unsigned i = 0; i < 40; ++i) drop(seen, "198.51." + std::to_string(i) + ".1", 22);
  drop(seen, "203.0.113.7", 3389);
  const Proposal made = propose(state(), seen, kNow);
  ASSERT_EQ(made.rules.size(), 1U);
  EXPECT_EQ(made.rules[0].port, 3389);
  EXPECT_THAT(made.rules[0].sources, ElementsAre(*IpPrefix::parse("203.0.113.7")));
  EXPECT_EQ(made.notes.size(), 2U);
  const Proposal guarded =
      propose(state({rule("SecurityCenter-JITRule_1_2", Access::deny, 22)}), traffic({22}), kNow);
  EXPECT_THAT(guarded.rules, IsEmpty());
}

TEST(Enforcement, NamesWhomItWouldLockOut) {
  Traffic seen;
  TrafficReport report;
  report.sessions = {{address("203.0.113.7"), address("10.0.0.4"), 22},
                     {address("203.0.113.7"), address("10.0.0.4"), 22},
                     {address("203.0.113.8"), address("10.0.0.4"), 443}};
  seen.note(report, kNow);
  const DesiredState rules = state({rule("web", Access::allow, 443)});
  EXPECT_THAT(enforcement_obstacles(rules, seen, kNow),
              ElementsAre("203.0.113.7 is connected to port 22 and could not connect again"));
  report.sessions.clear();
  report.connections = 95;
  report.connections_most = 100;
  report.untracked_by = {"ip raw PREROUTING"};
  report.foreign_marks = 1;
  seen.note(report, kNow);
  EXPECT_THAT(
      enforcement_obstacles(rules, seen, kNow),
      ElementsAre(HasSubstr("ip raw PREROUTING"), HasSubstr("95 of at most 100"), HasSubstr("mark_mask")));
  EXPECT_THAT(enforcement_obstacles(rules, Traffic(), kNow), IsEmpty());
}

}  // namespace
}  // namespace merlon::machine
