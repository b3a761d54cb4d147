// The desired state: its JSON form is bounded and strict, and the model judges as Azure's documentation says.
#include "machine/desired_state.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/time_text.h"

namespace merlon::machine {
namespace {

const Timestamp kNow = *from_rfc3339("2026-11-22T12:00:00Z");

FilterRule rule(std::string name, int64_t priority, Access access, const char* source, uint16_t port) {
  return {.name = std::move(name),
          .priority = priority,
          .access = access,
          .protocol = Protocol::tcp,
          .sources = {*IpPrefix::parse(source)},
          .destinations = {*IpPrefix::parse("0.0.0.0/0")},
          .source_ports = {{0, 65535}},
          .destination_ports = {{port, port}}};
}

DesiredState state() {
  DesiredState state;
  state.version = {1, 7};
  state.mode = Mode::enforce;
  InterfacePolicy nic;
  nic.nic_id = "/nic";
  nic.addresses = {*IpAddress::parse("10.0.0.4")};
  nic.primary = true;
  nic.inbound_layers = {
      {.name = "/subnet-nsg", .inbound = {rule("ssh", 100, Access::allow, "0.0.0.0/0", 22)}, .outbound = {}},
      {.name = "/nic-nsg",
       .inbound = {rule("no", 100, Access::deny, "203.0.113.0/24", 22),
                   rule("yes", 200, Access::allow, "0.0.0.0/0", 22)},
       .outbound = {}}};
  state.interfaces = {nic};
  state.openings = {{.id = "g/0",
                     .protocol = Protocol::tcp,
                     .source = *IpPrefix::parse("203.0.113.9"),
                     .destination = *IpAddress::parse("10.0.0.4"),
                     .port = 22,
                     .deadline = kNow + std::chrono::minutes(1)}};
  return state;
}

Flow flow(const char* source, uint16_t port) {
  return {.inbound = true,
          .protocol = Protocol::tcp,
          .source = *IpAddress::parse(source),
          .destination = *IpAddress::parse("10.0.0.4"),
          .source_port = 40'000,
          .destination_port = port};
}

TEST(DesiredState, RoundTrips) {
  const auto again = DesiredState::from_json(state().to_json());
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(to_text(again->to_json()), to_text(state().to_json()));
}

TEST(DesiredState, AnOpeningIsPlainUnlessItSaysOtherwise) {
  DesiredState made = state();
  made.openings.front().cut_established = true;
  made.openings.front().live_server = true;
  const auto again = DesiredState::from_json(made.to_json());
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_TRUE(again->openings.front().cut_established);
  EXPECT_TRUE(again->openings.front().live_server);
  JsonObject old = made.to_json();
  old["openings"].as_array()[0].as_object().erase("cutEstablished");
  old["openings"].as_array()[0].as_object().erase("liveServer");
  const auto plain = DesiredState::from_json(old);
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  EXPECT_FALSE(plain->openings.front().cut_established);
  EXPECT_FALSE(plain->openings.front().live_server);
}

TEST(DesiredState, RefusesWhatItDoesNotExpect) {
  const std::vector<std::function<void(JsonObject&)>> breaks = {
      [](JsonObject& json) { json["mode"] = "off"; },
      [](JsonObject& json) { json["number"] = -1; },
      [](JsonObject& json) { json.erase("epoch"); },
      [](JsonObject& json) { json["openings"].as_array()[0].as_object()["port"] = 65536; },
      [](JsonObject& json) { json["openings"].as_array()[0].as_object()["source"] = "2001:db8::1"; },
      [](JsonObject& json) { json["openings"].as_array()[0].as_object()["deadline"] = "never"; },
      [](JsonObject& json) { json["openings"].as_array()[0].as_object()["cutEstablished"] = "true"; },
      [](JsonObject& json) { json["openings"].as_array()[0].as_object()["liveServer"] = nullptr; },
      [](JsonObject& json) { json["interfaces"] = "none"; },
      [](JsonObject& json) { json["interfaces"].as_array()[0].as_object()["addresses"] = JsonArray{"x"}; }};
  for (size_t i = 0; i < breaks.size(); ++i) {
    JsonObject json = state().to_json();
    breaks[i](json);
    EXPECT_FALSE(DesiredState::from_json(json).has_value()) << i;
  }
}

TEST(Judge, EveryLayerMustAllow) {
  EXPECT_EQ(judge(state(), flow("198.51.100.1", 22), kNow).access, Access::allow);
  const Verdict denied = judge(state(), flow("203.0.113.8", 22), kNow);
  EXPECT_EQ(denied.access, Access::deny);
  EXPECT_EQ(denied.rule, "no");
  EXPECT_EQ(denied.layer, "/nic-nsg");
  EXPECT_EQ(judge(state(), flow("198.51.100.1", 80), kNow).access, Access::deny);
}

TEST(Judge, AnOpeningHoldsForItsSourceItsPortAndItsTimeAlone) {
  EXPECT_EQ(judge(state(), flow("203.0.113.9", 22), kNow).rule, "g/0");
  EXPECT_EQ(judge(state(), flow("203.0.113.8", 22), kNow).access, Access::deny);
  EXPECT_EQ(judge(state(), flow("203.0.113.9", 23), kNow).access, Access::deny);
  EXPECT_EQ(judge(state(), flow("203.0.113.9", 22), kNow + std::chrono::minutes(1)).access, Access::deny);
}

}  // namespace
}  // namespace merlon::machine
