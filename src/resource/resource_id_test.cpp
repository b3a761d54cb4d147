// Resource ids: one meaning for each text, and no tricks with case, dots or slashes.
#include "resource/resource_id.h"

#include <gtest/gtest.h>

namespace merlon::resource {
namespace {

constexpr const char* kSubscription = "/subscriptions/22222222-2222-2222-2222-222222222222";

ResourceId id(const std::string& text) {
  auto parsed = ResourceId::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed.value_or(ResourceId());
}

TEST(ResourceIdTest, ReadsEveryLevel) {
  const std::string group = std::string(kSubscription) + "/resourceGroups/Rg1";
  const ResourceId rule =
      id(group + "/providers/Microsoft.Network/networkSecurityGroups/web/securityRules/ssh");
  EXPECT_EQ(rule.type(), "Microsoft.Network/networkSecurityGroups/securityRules");
  EXPECT_EQ(rule.name(), "ssh");
  EXPECT_EQ(rule.provider(), "Microsoft.Network");
  EXPECT_EQ(rule.group_id(), group);
  EXPECT_EQ(rule.parent().name(), "web");
  EXPECT_EQ(rule.parent().parent().text(), group);
  EXPECT_EQ(rule.parent().parent().parent().text(), kSubscription);
  EXPECT_EQ(rule.parent().parent().parent().parent().text(), "/");
  EXPECT_EQ(id(group).type(), "Microsoft.Resources/resourceGroups");
  EXPECT_EQ(id(group).name(), "Rg1");
  EXPECT_EQ(id("/").type(), "");
}

TEST(ResourceIdTest, ComparesWithoutCaseAndKeepsTheCreatorsCase) {
  const ResourceId a = id("/SUBSCRIPTIONS/22222222-2222-2222-2222-222222222222/RESOURCEGROUPS/MyGroup");
  EXPECT_EQ(a.text(), std::string(kSubscription) + "/resourceGroups/MyGroup");
  EXPECT_TRUE(a == id(std::string(kSubscription) + "/resourcegroups/mygroup"));
}

TEST(ResourceIdTest, ExtensionsHangOffAnything) {
  const std::string machine =
      std::string(kSubscription) + "/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";
  const std::string tail =
      "/providers/Microsoft.Authorization/roleAssignments/8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
  EXPECT_EQ(id(machine + tail).parent().text(), machine);
  EXPECT_EQ(id(machine + tail).type(), "Microsoft.Authorization/roleAssignments");
  EXPECT_EQ(id(std::string(kSubscription) + tail).parent().text(), kSubscription);
  EXPECT_EQ(id(tail).parent().text(), "/");
}

TEST(ResourceIdTest, WithinIsAboutWholeSegments) {
  const ResourceId one = id(std::string(kSubscription) + "/resourceGroups/rg10");
  EXPECT_FALSE(one.is_within(std::string(kSubscription) + "/resourceGroups/rg1"));
  EXPECT_TRUE(one.is_within(std::string(kSubscription) + "/resourcegroups/RG10"));
  EXPECT_TRUE(one.is_within(kSubscription));
  EXPECT_TRUE(one.is_within("/"));
}

TEST(ResourceIdTest, RefusesWhatCouldBeReadInTwoWays) {
  const std::string s = kSubscription;
  for (const std::string& text : {std::string(""),
                                  std::string("subscriptions/x"),
                                  std::string("/subscriptions"),
                                  std::string("/subscriptions/not-a-guid"),
                                  s + "/",
                                  s + "//resourceGroups/rg",
                                  s + "/resourceGroups",
                                  s + "/resourceGroups/",
                                  s + "/resourceGroups/..",
                                  s + "/resourceGroups/rg/extra",
                                  s + "/resourceGroups/rg/providers",
                                  s + "/resourceGroups/rg/providers/A.B",
                                  s + "/resourceGroups/rg/providers/A.B/type",
                                  s + "/resourceGroups/rg/providers/A.B/type/name/child",
                                  s + "/resourceGroups/a%2Fb",
                                  s + "/resourceGroups/a\nb",
                                  s + "/resourceGroups/a\"b",
                                  s + "/resourceGroups/ a",
                                  s + "/resourceGroups/\xc3\xa9",
                                  s + "/resourceGroups/" + std::string(261, 'a'),
                                  s + "/resourceGroups/rg/providers/A.B/*/x",
                                  s + "/resourceGroups/x*"}) {
    const auto parsed = ResourceId::parse(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, "InvalidResourceId");
  }
  EXPECT_FALSE(ResourceId::from_segments(
      {"subscriptions", "22222222-2222-2222-2222-222222222222", "resourceGroups", "a/b"}));
}

}  // namespace
}  // namespace merlon::resource
