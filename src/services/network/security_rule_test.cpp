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
      {{{"sourceAddressPrefix", "No such tag"}}, "SecurityRuleInvalidAddressPrefix"},
      {{{"sourceAddressPrefixes", JsonArray{"10.0.0.1"}}},
       "SecurityRuleParameterContainsBothSingularAndPlural"},
      {{{"sourceAddressPrefix", nullptr}}, "SecurityRuleParameterIsMissing"},
      {{{"sourceAddressPrefix", nullptr}, {"sourceAddressPrefixes", JsonArray{"*", "10.0.0.1"}}},
       "SecurityRuleParameterContainsUnsupportedValue"},
      {{{"sourceAddressPrefix", nullptr}, {"sourceAddressPrefixes", JsonArray{"Storage"}}},
       "SecurityRuleParameterContainsUnsupportedValue"},
      {{{"destinationPortRange", nullptr}, {"destinationPortRanges", JsonArray{"80", "*"}}},
       "SecurityRuleParameterContainsUnsupportedValue"},
      {{{"sourceApplicationSecurityGroups", JsonArray{JsonObject{{"id", "/x"}}}}},
       "SecurityRuleParameterContainsBothSingularAndPlural"}};
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

TEST(ReadRules, CountsWhatAllRulesOfAGroupHave) {
  JsonArray many;
  for (int i = 0; i < 2000; ++i)
    many.emplace_back("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256));
  JsonArray rules;
  for (int i = 0; i < 3; ++i) {
    JsonObject rule =
        rule_with({{"sourceAddressPrefix", nullptr}, {"sourceAddressPrefixes", many}, {"priority", 100 + i}});
    rule["name"] = "r" + std::to_string(i);
    rules.push_back(std::move(rule));
    const auto read = read_rules(rules);
    EXPECT_EQ(read.has_value(), i < 2);
    if (i == 2) {
      EXPECT_EQ(read.error().code, "SecurityRuleTooManyValues");
    }
  }
  JsonArray groups;
  for (int i = 0; i <= 100; ++i) groups.push_back(JsonObject{{"id", "/g" + std::to_string(i)}});
  const auto over = read_rules(
      {rule_with({{"sourceAddressPrefix", nullptr}, {"sourceApplicationSecurityGroups", groups}})});
  ASSERT_FALSE(over.has_value());
  EXPECT_EQ(over.error().code, "SecurityRuleTooManyApplicationSecurityGroups");
}

TEST(Expand, GroupsAndServiceTagsStandForWhatIsKnownOfThem) {
  Meanings meanings;
  meanings.service_tags["storage.west"] = {*IpPrefix::parse("20.0.0.0/8")};
  meanings.groups["/g1"] = {*IpPrefix::parse("10.0.0.4"), *IpPrefix::parse("10.0.0.5")};
  const auto of = [&](JsonObject changes) {
    return expand(*read_rule(rule_with(std::move(changes))), meanings).sources;
  };
  EXPECT_EQ(of({{"sourceAddressPrefix", "Storage.West"}}), std::vector{*IpPrefix::parse("20.0.0.0/8")});
  EXPECT_TRUE(of({{"sourceAddressPrefix", "Sql"}}).empty()) << "a name without a meaning matches nothing";
  const JsonArray groups = {JsonObject{{"id", "/G1"}}, JsonObject{{"id", "/g2"}}};
  EXPECT_EQ(of({{"sourceAddressPrefix", nullptr}, {"sourceApplicationSecurityGroups", groups}}),
            std::vector{*IpPrefix::parse("10.0.0.4/31")});
}

TEST(Expand, TagsStandForTheNetworkAndWhatLiesOutside) {
  Meanings tags;
  tags.virtual_network = {*IpPrefix::parse("10.1.0.0/16"), *IpPrefix::parse("fd00:1::/64")};
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

// Against the obvious: an address is in the merged set when it is in the set, and nothing can be left out.
TEST(Merged, SaysTheSameInFewest) {
  std::mt19937 generator(11);
  for (int round = 0; round < 500; ++round) {
    std::vector<IpPrefix> set;
    for (unsigned i = 0; i < generator() % 40; ++i)
      set.push_back(
          *IpPrefix::make(IpAddress::from_v4(0x0a000000U + generator() % 64), 24 + generator() % 9));
    const auto out = merged(set);
    for (uint32_t host = 0; host < 320; ++host) {
      const auto address = IpAddress::from_v4(0x0a000000U + host);
      const auto count = [&](const std::vector<IpPrefix>& prefixes) {
        return std::count_if(prefixes.begin(), prefixes.end(),
                             [&](const IpPrefix& p) { return p.contains(address); });
      };
      ASSERT_EQ(count(out), count(set) > 0 ? 1 : 0) << address.text();
    }
    for (size_t i = 1; i < out.size(); ++i) {
      const auto whole = IpPrefix::make(out[i - 1].address(), out[i - 1].length() - 1);
      ASSERT_FALSE(out[i - 1].length() == out[i].length() && whole->contains(out[i]))
          << out[i - 1].text() << " and " << out[i].text() << " are one prefix";
    }
  }
  EXPECT_EQ(merged({*IpPrefix::parse("fd00::1"), *IpPrefix::parse("fd00::"), *IpPrefix::parse("0.0.0.0/1"),
                    *IpPrefix::parse("128.0.0.0/1")}),
            (std::vector{*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("fd00::/127")}));
}

}  // namespace
}  // namespace merlon::network
