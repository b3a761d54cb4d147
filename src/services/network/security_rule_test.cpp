// Reading security rules: what Azure accepts, and what it refuses with which code.
#include "services/network/security_rule.h"

#include <gtest/gtest.h>

#include <random>

#include "services/network/prefixes.h"

namespace merlon::network {
namespace {

JsonObject rule_with(JsonObject changes) {
  JsonObject properties = {{"protocol", "Tcp"},
                           {"sourcePortRange", "*"},
                           {"destinationPortRange", "22"},
                           {"sourceAddressPrefix", "*"},
                           {"destinationAddressPrefix", "*"},
                           {"access", "Allow"},
                           {"priority", 100},
                           {"direction", "Inbound"}};
  for (const auto& change : changes) {
    if (change.value().is_null()) {
      properties.erase(change.key());
    } else {
      properties[change.key()] = change.value();
    }
  }
  return {{"name", "rule"}, {"properties", std::move(properties)}};
}

TEST(ReadRule, ReadsPluralsAndRanges) {
  const auto rule =
      read_rule(rule_with({{"destinationPortRange", nullptr},
                           {"destinationPortRanges", JsonArray{"22", "8000-8080"}},
                           {"sourceAddressPrefix", nullptr},
                           {"sourceAddressPrefixes", JsonArray{"10.0.0.0/8", "2001:db8::/32"}}}));
  ASSERT_TRUE(rule.has_value()) << rule.error().message;
  EXPECT_EQ(rule->destination_ports, (std::vector<machine::PortRange>{{22, 22}, {8000, 8080}}));
  EXPECT_EQ(rule->sources.size(), 2U);
}

TEST(ReadRule, RefusesWhatAzureRefuses) {
  const std::vector<std::pair<JsonObject, std::string>> cases = {
      {{{"priority", 99}}, "SecurityRuleInvalidPriority"},
      {{{"priority", 4097}}, "SecurityRuleInvalidPriority"},
      {{{"destinationPortRange", "0x16"}}, "SecurityRuleInvalidPortRange"},
      {{{"destinationPortRange", "90-80"}}, "SecurityRuleInvalidPortRange"},
      {{{"destinationPortRange", "65536"}}, "SecurityRuleInvalidPortRange"},
      {{{"sourceAddressPrefix", "10.0.0.0/33"}}, "SecurityRuleInvalidAddressPrefix"},
      {{{"sourceAddressPrefix", "010.0.0.1"}}, "SecurityRuleInvalidAddressPrefix"},
      {{{"sourceAddressPrefix", "NoSuchTag"}}, "SecurityRuleInvalidAddressPrefix"},
      {{{"sourceAddressPrefixes", JsonArray{"10.0.0.1"}}},
       "SecurityRuleParameterContainsBothSingularAndPlural"},
      {{{"sourceAddressPrefix", nullptr}}, "SecurityRuleParameterIsMissing"},
      {{{"sourceAddressPrefix", nullptr}, {"sourceAddressPrefixes", JsonArray{"*", "10.0.0.1"}}},
       "SecurityRuleInvalidAddressPrefix"}};
  for (const auto& [changes, code] : cases) {
    const auto rule = read_rule(rule_with(changes));
    ASSERT_FALSE(rule.has_value()) << to_text(changes);
    EXPECT_EQ(rule.error().code, code) << to_text(changes);
    EXPECT_EQ(rule.error().kind, ErrorKind::invalid);
    EXPECT_NE(rule.error().target.find("securityRules[rule]"), std::string::npos)
        << "the offending field is named";
  }
}

TEST(ReadRules, RefusesOnePriorityTwicePerDirection) {
  JsonObject first = rule_with({});
  JsonObject second = rule_with({});
  second["name"] = "second";
  const auto conflict = read_rules({first, second});
  ASSERT_FALSE(conflict.has_value());
  EXPECT_EQ(conflict.error().code, "SecurityRuleConflict");
  second["properties"].as_object()["direction"] = "Outbound";
  EXPECT_TRUE(read_rules({first, second}).has_value());
}

TEST(Expand, TagsStandForTheNetworkAndWhatLiesOutside) {
  const TagPrefixes tags{{*IpPrefix::parse("10.1.0.0/16"), *IpPrefix::parse("fd00:1::/64")}};
  const auto holds = [](const std::vector<IpPrefix>& prefixes, const char* address) {
    const auto parsed = *IpAddress::parse(address);
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const IpPrefix& p) { return p.contains(parsed); });
  };
  const auto inside =
      expand(*read_rule(rule_with({{"sourceAddressPrefix", "VirtualNetwork"}})), tags).sources;
  const auto outside = expand(*read_rule(rule_with({{"sourceAddressPrefix", "Internet"}})), tags).sources;
  for (const char* address : {"10.1.2.3", "fd00:1::5", "168.63.129.16"}) {
    EXPECT_TRUE(holds(inside, address)) << address;
    EXPECT_FALSE(holds(outside, address)) << address;
  }
  for (const char* address : {"10.2.0.1", "8.8.8.8", "2001:db8::1", "fd00:2::1"}) {
    EXPECT_FALSE(holds(inside, address)) << address;
    EXPECT_TRUE(holds(outside, address)) << address;
  }
}

TEST(Complement, CoversEveryAddressExactlyOnce) {
  std::mt19937 generator(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<IpPrefix> set;
    for (unsigned i = 0; i < generator() % 5; ++i)
      set.push_back(
          *IpPrefix::make(IpAddress::from_v4(static_cast<uint32_t>(generator())), generator() % 33));
    const auto outside = complement(set);
    for (int probe = 0; probe < 50; ++probe) {
      const auto address = probe % 2 == 0 || set.empty()
                               ? IpAddress::from_v4(static_cast<uint32_t>(generator()))
                               : set[generator() % set.size()].address();
      const auto count = [&](const std::vector<IpPrefix>& prefixes) {
        return std::count_if(prefixes.begin(), prefixes.end(),
                             [&](const IpPrefix& p) { return p.contains(address); });
      };
      EXPECT_EQ(count(outside), count(set) > 0 ? 0 : 1) << address.text();
    }
  }
}

}  // namespace
}  // namespace merlon::network
