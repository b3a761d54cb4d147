// base ⊕ overlay: dropping the overlay restores the base, a client can neither make nor prolong a
// just-in-time rule, and a person's edit survives whatever view it was made in.
#include "services/network/security_group.h"

#include <gtest/gtest.h>

#include <random>

namespace merlon::network {
namespace {

using machine::Access;

JsonObject rule(std::string name, int64_t priority, std::string access = "Allow",
                std::string direction = "Inbound") {
  return {{"name", std::move(name)},
          {"properties", JsonObject{{"protocol", "Tcp"},
                                    {"sourcePortRange", "*"},
                                    {"destinationPortRange", "443"},
                                    {"sourceAddressPrefix", "*"},
                                    {"destinationAddressPrefix", "*"},
                                    {"access", std::move(access)},
                                    {"priority", priority},
                                    {"direction", std::move(direction)}}}};
}

OverlayRule overlay(Access access, const std::string& id, std::vector<std::string> sources) {
  OverlayRule rule;
  rule.id = id;
  rule.access = access;
  rule.name = std::string(kJitNamePrefix) + (access == Access::allow ? "-1-" : "_1_") + id;
  rule.description = "test";
  rule.sources = std::move(sources);
  rule.destination = *IpAddress::parse("10.0.0.4");
  rule.port = 22;
  return rule;
}

SecurityGroup group_with(JsonArray base) {
  SecurityGroup group;
  group.id = "/subscriptions/s/resourcegroups/g/providers/microsoft.network/networksecuritygroups/n";
  group.base_rules = std::move(base);
  return group;
}

void show(SecurityGroup& group, const std::string& etag) { group.note_view(*render(group), etag); }

int64_t priority_of(const JsonArray& rules, std::string_view name) {
  for (const Json& element : rules)
    if (string_at(element.as_object(), "name") == name)
      return *int_at(element.as_object(), "properties.priority");
  return -1;
}

TEST(Render, PutsAllowFirstAndDenyLastAndShiftsOnlyWhatIsInTheWay) {
  SecurityGroup group =
      group_with({rule("a", 100), rule("b", 101), rule("far", 300), rule("last", 4096, "Deny")});
  group.overlay["jit:p"] = {overlay(Access::deny, "D1", {"*"}), overlay(Access::deny, "D2", {"*"}),
                            overlay(Access::allow, "A1", {"198.51.100.7"})};
  const auto shown = render(group);
  ASSERT_TRUE(shown.has_value());
  EXPECT_EQ(priority_of(shown->rules, "SecurityCenter-JITRule-1-A1"), 100);
  EXPECT_EQ(priority_of(shown->rules, "a"), 101);
  EXPECT_EQ(priority_of(shown->rules, "b"), 102);
  EXPECT_EQ(priority_of(shown->rules, "far"), 300);
  EXPECT_EQ(priority_of(shown->rules, "last"), 4096);
  EXPECT_EQ(priority_of(shown->rules, "SecurityCenter-JITRule_1_D1"), 4095);
  EXPECT_EQ(priority_of(shown->rules, "SecurityCenter-JITRule_1_D2"), 4094);
  EXPECT_EQ(shown->shifted.size(), 2U);
}

TEST(Render, WithoutOverlayShowsTheBaseAndNothingElse) {
  SecurityGroup group = group_with({rule("a", 100), rule("b", 200, "Deny", "Outbound")});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"*"})};
  group.overlay.erase("jit:p");
  const auto shown = render(group);
  ASSERT_TRUE(shown.has_value());
  EXPECT_EQ(shown->rules, group.base_rules);
}

TEST(Render, LeavesOutboundRulesAlone) {
  SecurityGroup group = group_with({rule("out", 100, "Deny", "Outbound")});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"*"})};
  EXPECT_EQ(priority_of(render(group)->rules, "out"), 100);
}

TEST(Render, SaysWhenThereIsNoRoom) {
  JsonArray base;
  for (int64_t priority = kPriorityMin; priority <= kPriorityMax; ++priority)
    base.push_back(rule("r" + std::to_string(priority), priority));
  SecurityGroup group = group_with(std::move(base));
  group.overlay["jit:p"] = {overlay(Access::deny, "D1", {"*"})};
  const auto shown = render(group);
  ASSERT_FALSE(shown.has_value());
  EXPECT_EQ(shown.error().kind, ErrorKind::conflict);
}

TEST(Merge, StripsUnchangedJitRulesAndMapsShiftedPrioritiesBack) {
  SecurityGroup group = group_with({rule("a", 100), rule("b", 300)});
  group.overlay["jit:p"] = {overlay(Access::deny, "D1", {"*"}),
                            overlay(Access::allow, "A1", {"198.51.100.7"})};
  show(group, "e1");
  const auto merged = merge(group, render(group)->rules, "e1");
  ASSERT_TRUE(merged.has_value()) << merged.error().message;
  EXPECT_EQ(merged->base_rules, group.base_rules);
  EXPECT_TRUE(merged->removed_allows.empty());
}

TEST(Merge, KeepsAPersonsEditMadeDuringAnOpening) {
  SecurityGroup group = group_with({rule("a", 100)});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"198.51.100.7"})};
  show(group, "e1");
  JsonArray sent = render(group)->rules;
  sent.push_back(rule("mine", 500));
  const auto merged = merge(group, sent, "");
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(priority_of(merged->base_rules, "a"), 100);
  EXPECT_EQ(priority_of(merged->base_rules, "mine"), 500);
  EXPECT_EQ(merged->base_rules.size(), 2U);
}

TEST(Merge, RevokesAnAllowThatTheClientLeftOut) {
  SecurityGroup group = group_with({rule("a", 100)});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"198.51.100.7"})};
  show(group, "e1");
  const auto merged = merge(group, {rule("a", 100)}, "");
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(merged->removed_allows, std::vector<std::string>{"A1"});
}

TEST(Merge, AStaleCopyAfterExpiryOpensNothingAndShiftsNothing) {
  SecurityGroup group = group_with({rule("a", 100)});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"198.51.100.7"})};
  show(group, "e1");
  const JsonArray stale = render(group)->rules;
  group.overlay.clear();
  show(group, "e2");
  const auto merged = merge(group, stale, "");
  ASSERT_TRUE(merged.has_value()) << merged.error().message;
  EXPECT_EQ(merged->base_rules, group.base_rules);
}

TEST(Merge, RefusesAChangedJitRule) {
  SecurityGroup group = group_with({});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"198.51.100.7"})};
  show(group, "e1");
  JsonArray sent = render(group)->rules;
  sent.front().as_object()["properties"].as_object()["sourceAddressPrefix"] = "*";
  const auto merged = merge(group, sent, "");
  ASSERT_FALSE(merged.has_value());
  EXPECT_EQ(merged.error().kind, ErrorKind::invalid);
}

TEST(Merge, RefusesAnInventedJitRule) {
  const SecurityGroup group = group_with({});
  for (const std::string name : {"SecurityCenter-JITRule-9-X", "securitycenter-jitrule_9_X"}) {
    const auto merged = merge(group, {rule(name, 100)}, "");
    ASSERT_FALSE(merged.has_value()) << name;
    EXPECT_EQ(merged.error().code, "JitRuleCannotBeModified");
  }
}

// Random groups, overlays and edits against the obvious reference: what a client did not touch is as it was.
TEST(Merge, RandomRoundTripsKeepTheBase) {
  std::mt19937 generator(20261122);
  for (int round = 0; round < 2000; ++round) {
    JsonArray base;
    std::set<int64_t> taken;
    for (unsigned i = 0; i < generator() % 12; ++i) {
      const int64_t priority =
          kPriorityMin + static_cast<int64_t>(generator() % (generator() % 2 == 0 ? 15U : 3900U));
      if (taken.insert(priority).second) base.push_back(rule("r" + std::to_string(i), priority));
    }
    SecurityGroup group = group_with(base);
    for (unsigned i = 0; i < generator() % 5; ++i)
      group.overlay["jit:p"].push_back(overlay(generator() % 2 == 0 ? Access::allow : Access::deny,
                                               "O" + std::to_string(i), {"192.0.2.1"}));
    show(group, "e");
    const auto shown = render(group);
    ASSERT_TRUE(shown.has_value());
    ASSERT_TRUE(read_rules(shown->rules).has_value()) << "a rendering must itself be a valid group";
    const auto merged = merge(group, shown->rules, generator() % 2 == 0 ? "e" : "");
    ASSERT_TRUE(merged.has_value()) << merged.error().message;
    EXPECT_EQ(merged->base_rules.size(), base.size());
    for (const Json& element : base) {
      const std::string name = *string_at(element.as_object(), "name");
      EXPECT_EQ(priority_of(merged->base_rules, name), *int_at(element.as_object(), "properties.priority"));
    }
    EXPECT_TRUE(merged->removed_allows.empty());
  }
}

// A person edits what GET showed while the overlay moves under them: the base becomes what they meant, by a
// reference that knows their rules by name alone.
TEST(Merge, RandomEditsMeanTheSameWhateverTheOverlayDid) {
  std::mt19937 generator(20261126);
  const auto below = [&](unsigned limit) { return static_cast<unsigned>(generator() % limit); };
  const auto random_overlay = [&] {
    std::vector<OverlayRule> rules;
    for (unsigned i = 0; i < below(5); ++i)
      rules.push_back(overlay(below(2) == 0 ? Access::allow : Access::deny, "O" + std::to_string(below(6)),
                              {"192.0.2.1"}));
    std::sort(rules.begin(), rules.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    rules.erase(std::unique(rules.begin(), rules.end(),
                            [](const auto& a, const auto& b) { return a.name == b.name; }),
                rules.end());
    return rules;
  };
  for (int round = 0; round < 1000; ++round) {
    std::map<std::string, std::pair<int64_t, std::string>> reference;  // name → priority, access
    JsonArray base;
    std::set<int64_t> taken;
    for (unsigned i = 0; i < below(10); ++i) {
      const int64_t priority = kPriorityMin + below(below(2) == 0 ? 12 : 3900);
      if (!taken.insert(priority).second) continue;
      const std::string name = "r" + std::to_string(i);
      base.push_back(rule(name, priority));
      reference[name] = {priority, "Allow"};
    }
    SecurityGroup group = group_with(base);
    group.overlay["jit:p"] = random_overlay();
    show(group, "e1");
    JsonArray edited;
    for (const Json& element : render(group)->rules) {
      JsonObject changed = element.as_object();
      const std::string name = *string_at(changed, "name");
      if (reference.contains(name) && below(4) == 0) {
        reference.erase(name);
        continue;
      }
      if (reference.contains(name) && below(4) == 0) {
        changed["properties"].as_object()["access"] = "Deny";
        reference[name].second = "Deny";
      }
      edited.push_back(std::move(changed));
    }
    if (below(2) == 0) {
      edited.push_back(rule("new", 4050));
      reference["new"] = {4050, "Allow"};
    }
    const bool moved = below(2) == 0;
    if (moved) {
      group.overlay["jit:p"] = random_overlay();
      show(group, "e2");
    }
    const auto merged = merge(group, edited, below(2) == 0 ? "e1" : "");
    ASSERT_TRUE(merged.has_value()) << merged.error().message;
    std::map<std::string, std::pair<int64_t, std::string>> got;
    for (const Json& element : merged->base_rules)
      got[*string_at(element.as_object(), "name")] = {*int_at(element.as_object(), "properties.priority"),
                                                      *string_at(element.as_object(), "properties.access")};
    ASSERT_EQ(got, reference) << "round " << round << " moved " << moved << " sent " << to_text(Json(edited));
    if (!moved) {
      EXPECT_TRUE(merged->removed_allows.empty());
    }
  }
}

TEST(SecurityGroupRecord, RoundTrips) {
  SecurityGroup group = group_with({rule("a", 100)});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"198.51.100.7"})};
  show(group, "e1");
  const auto again = SecurityGroup::from_json(group.to_json());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(to_text(again->to_json()), to_text(group.to_json()));
}

// What a group keeps of its views grows with the rules and the views, not with their product.
TEST(SecurityGroupRecord, KeepsARuleOnceHoweverManyViewsShowedIt) {
  SecurityGroup group = group_with({rule("a", 100)});
  const auto shows = [&](unsigned allows) {
    group.overlay["jit:p"].clear();
    for (unsigned i = 0; i < allows; ++i)
      group.overlay["jit:p"].push_back(overlay(Access::allow, "A" + std::to_string(i), {"198.51.100.7"}));
    show(group, "e" + std::to_string(group.views.empty() ? 1 : group.views.back().number + 1));
  };
  for (unsigned allows = 1; allows <= 200; ++allows) shows(allows);
  EXPECT_EQ(group.views.size(), kViewsMax);
  EXPECT_EQ(group.shown.size(), 200U);
  EXPECT_EQ(group.allows_in(group.views.front()).size(), 200U - kViewsMax + 1);
  EXPECT_EQ(group.allows_in(group.views.back()).size(), 200U);
  shows(1);
  EXPECT_EQ(group.allows_in(group.views.back()).size(), 1U);
  EXPECT_EQ(group.shown.size(), 200U) << "older views still have them";
  shows(2);
  EXPECT_EQ(group.allows_in(group.views.back()).size(), 2U) << "one that comes back";
  for (size_t i = 0; i < kViewsMax; ++i) shows(2);
  EXPECT_EQ(group.shown.size(), 2U) << "no kept view showed the others";
}

// Written before migration 2.
TEST(SecurityGroupRecord, ReadsViewsThatHadTheirRulesThemselves) {
  SecurityGroup group = group_with({rule("a", 100)});
  group.overlay["jit:p"] = {overlay(Access::allow, "A1", {"198.51.100.7"})};
  const std::string a1 = group.overlay["jit:p"].front().name;
  JsonObject old = group.to_json();
  old.erase("shown");
  old["views"] = JsonArray{JsonObject{{"etag", "e1"},
                                      {"allows", JsonObject{{"gone", "A0"}}},
                                      {"denies", JsonObject()},
                                      {"shifted", JsonObject()}},
                           JsonObject{{"etag", "e2"},
                                      {"allows", JsonObject{{a1, "A1"}}},
                                      {"denies", JsonObject{{"closed", "D1"}}},
                                      {"shifted", JsonObject{{"a", 101}}}}};
  const auto read = SecurityGroup::from_json(old);
  ASSERT_TRUE(read.has_value());
  const auto again = SecurityGroup::from_json(read->to_json());
  ASSERT_TRUE(again.has_value());
  ASSERT_EQ(again->views.size(), 2U);
  EXPECT_EQ(again->allows_in(again->views[0]), (std::map<std::string, std::string>{{"gone", "A0"}}));
  EXPECT_EQ(again->allows_in(again->views[1]), (std::map<std::string, std::string>{{a1, "A1"}}));
  EXPECT_EQ(again->views[1].shifted, (std::map<std::string, int64_t>{{"a", 101}}));
  const auto merged = merge(*again, {}, "e2");
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(merged->removed_allows, std::vector<std::string>{"A1"});
}

}  // namespace
}  // namespace merlon::network
