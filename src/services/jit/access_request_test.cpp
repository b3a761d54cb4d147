// Requests against their policy: what opens, and every way to ask for more than the policy gives.
#include "services/jit/access_request.h"

#include <gtest/gtest.h>

#include "base/time_text.h"

namespace merlon::jit {
namespace {

constexpr std::string_view kVm =
    "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.Compute/"
    "virtualMachines/web-1";
const Timestamp kNow = *from_rfc3339("2026-11-22T12:00:00Z");
const IpAddress kPeer = *IpAddress::parse("198.51.100.7");

Policy policy(std::string source = "*") {
  const auto id = resource::ResourceId::parse(
      "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.Security/"
      "locations/local/"
      "jitNetworkAccessPolicies/default");
  const JsonObject port = {{"number", 22},
                           {"protocol", "TCP"},
                           {"allowedSourceAddressPrefix", source},
                           {"maxRequestAccessDuration", "PT3H"}};
  const JsonObject document = {
      {"properties",
       JsonObject{{"virtualMachines", JsonArray{JsonObject{{"id", kVm}, {"ports", JsonArray{port}}}}}}}};
  auto policy = read_policy(*id, document);
  EXPECT_TRUE(policy.has_value());
  return *std::move(policy);
}

JsonObject body(JsonObject port, std::string_view vm = kVm) {
  if (!port.contains("number")) port["number"] = 22;
  return {{"virtualMachines", JsonArray{JsonObject{{"id", vm}, {"ports", JsonArray{std::move(port)}}}}},
          {"justification", "a reason"}};
}

TEST(ReadRequest, TakesTheCallersAddressWhenNoneIsGiven) {
  const auto request = read_request(policy(), body({{"endTimeUtc", "2026-11-22T13:00:00Z"}}), kPeer, kNow);
  ASSERT_TRUE(request.has_value()) << request.error().message;
  EXPECT_EQ(request->ports.front().sources, std::vector<std::string>{"198.51.100.7"});
  EXPECT_EQ(request->ports.front().end, kNow + std::chrono::hours(1));
  EXPECT_EQ(request->justification, "a reason");
}

TEST(ReadRequest, TakesADurationToo) {
  const auto request = read_request(policy(), body({{"duration", "PT20M"}}), kPeer, kNow);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->ports.front().end, kNow + std::chrono::minutes(20));
}

TEST(ReadRequest, RefusesWhatThePolicyDoesNotGive) {
  const std::vector<std::pair<JsonObject, std::string>> cases = {
      {{{"endTimeUtc", "2026-11-22T15:00:00.001Z"}}, "JitRequestTooLong"},
      {{{"duration", "PT3H0M0.001S"}}, "JitRequestTooLong"},
      {{{"endTimeUtc", "2026-11-22T12:00:00Z"}}, "JitRequestInThePast"},
      {{{"endTimeUtc", "2026-11-22T11:59:59Z"}}, "JitRequestInThePast"},
      {{{"endTimeUtc", "tomorrow"}}, "InvalidRequestContent"},
      {{{"duration", "PT0S"}}, "InvalidRequestContent"},
      {{{"duration", "-PT1H"}}, "InvalidRequestContent"},
      {{{"duration", "PT1H"}, {"endTimeUtc", "2026-11-22T13:00:00Z"}}, "InvalidRequestContent"},
      {JsonObject(), "InvalidRequestContent"},
      {{{"duration", "PT1H"}, {"number", 3389}}, "JitPortNotInPolicy"},
      {{{"duration", "PT1H"}, {"allowedSourceAddressPrefix", "203.0.113.5"}}, "JitSourceNotAllowed"},
      {{{"duration", "PT1H"}, {"allowedSourceAddressPrefix", "*"}}, "JitSourceNotAllowed"},
      {{{"duration", "PT1H"}, {"allowedSourceAddressPrefix", "198.51.100.0/23"}}, "JitSourceNotAllowed"},
      {{{"duration", "PT1H"}, {"allowedSourceAddressPrefix", "2001:db8::1"}}, "JitSourceNotAllowed"},
      {{{"duration", "PT1H"}, {"allowedSourceAddressPrefix", "198.51.100.7/40"}}, "InvalidRequestContent"},
  };
  for (const auto& [port, code] : cases) {
    const auto request = read_request(policy("198.51.100.0/24"), body(port), kPeer, kNow);
    ASSERT_FALSE(request.has_value()) << to_text(port);
    EXPECT_EQ(request.error().code, code) << to_text(port);
    EXPECT_EQ(request.error().kind, ErrorKind::invalid);
    EXPECT_FALSE(request.error().target.empty()) << "the offending field is named";
  }
}

TEST(ReadRequest, AnotherMachineIsNotFound) {
  const auto request =
      read_request(policy(), body({{"duration", "PT1H"}}, std::string(kVm) + "2"), kPeer, kNow);
  ASSERT_FALSE(request.has_value());
  EXPECT_EQ(request.error().kind, ErrorKind::not_found);
}

TEST(ReadRequest, LoopbackSaysNothingAboutWhereOneComesFrom) {
  for (const char* peer : {"127.0.0.1", "::1"}) {
    const auto request = read_request(policy(), body({{"duration", "PT1H"}}), *IpAddress::parse(peer), kNow);
    ASSERT_FALSE(request.has_value());
    EXPECT_EQ(request.error().code, "JitSourceRequired");
  }
}

TEST(ReadRequest, OnePortTwiceIsRefused) {
  JsonObject twice = body({{"duration", "PT1H"}});
  JsonArray& ports = twice["virtualMachines"].as_array()[0].as_object()["ports"].as_array();
  ports.push_back(ports[0]);
  EXPECT_FALSE(read_request(policy(), twice, kPeer, kNow).has_value());
}

TEST(ReadPolicy, BoundsTheLongestAccess) {
  for (const char* duration : {"PT24H", "PT5M", "P1D"})
    EXPECT_TRUE(from_iso8601_duration(duration).has_value());
  const auto id = policy().id;
  for (const char* duration : {"PT25H", "PT0S", "3h", "P1M"}) {
    const JsonObject port = {{"number", 22}, {"protocol", "TCP"}, {"maxRequestAccessDuration", duration}};
    const JsonObject document = {
        {"properties",
         JsonObject{{"virtualMachines", JsonArray{JsonObject{{"id", kVm}, {"ports", JsonArray{port}}}}}}}};
    EXPECT_FALSE(read_policy(id, document).has_value()) << duration;
  }
}

}  // namespace
}  // namespace merlon::jit
