// Scopes: their one form, what lies above them, and hostile spellings.
#include "access/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "access/access.h"

namespace merlon::access {
namespace {

using testing::ElementsAre;

TEST(Scope, AncestorsOfAResourceInsideAResource) {
  EXPECT_THAT(
      scope_and_ancestors(
          "/subscriptions/S/resourceGroups/RG/providers/Microsoft.KeyVault/vaults/V/secrets/x"),
      ElementsAre("/subscriptions/s/resourcegroups/rg/providers/microsoft.keyvault/vaults/v/secrets/x",
                  "/subscriptions/s/resourcegroups/rg/providers/microsoft.keyvault/vaults/v",
                  "/subscriptions/s/resourcegroups/rg", "/subscriptions/s", "/"));
}

TEST(Scope, AncestorsOfExtensionsCollectionsAndGroups) {
  EXPECT_THAT(
      scope_and_ancestors("/subscriptions/s/providers/Microsoft.Security/pricings/x"),
      ElementsAre("/subscriptions/s/providers/microsoft.security/pricings/x", "/subscriptions/s", "/"));
  EXPECT_THAT(scope_and_ancestors("/subscriptions/s/resourceGroups"),
              ElementsAre("/subscriptions/s/resourcegroups", "/subscriptions/s", "/"));
  EXPECT_THAT(scope_and_ancestors("/providers/Microsoft.Management/managementGroups/M"),
              ElementsAre("/providers/microsoft.management/managementgroups/m", "/"));
  EXPECT_THAT(scope_and_ancestors("/subscriptions/s/"), ElementsAre("/subscriptions/s", "/"));
  EXPECT_THAT(scope_and_ancestors("/"), ElementsAre("/"));
}

TEST(Scope, ANameThatIsCalledProvidersIsAName) {
  EXPECT_THAT(scope_and_ancestors("/subscriptions/s/resourceGroups/providers/providers/A/b/c"),
              ElementsAre("/subscriptions/s/resourcegroups/providers/providers/a/b/c",
                          "/subscriptions/s/resourcegroups/providers", "/subscriptions/s", "/"));
}

TEST(Scope, OtherSpellingsAreNoScopes) {
  for (const char* bad :
       {"", "//", "subscriptions/s", "/subscriptions//s", "/subscriptions/s//", "/subscriptions/s/../t",
        "/subscriptions/.", "/subscriptions/s?x=1", "/subscriptions/s#x", "/subscriptions/%2e%2e",
        "/subscriptions/s\n/x", "/subscriptions/a\\b", "/subscriptions/*"}) {
    EXPECT_FALSE(normal_scope(bad)) << bad;
    EXPECT_TRUE(scope_and_ancestors(bad).empty()) << bad;
  }
  EXPECT_FALSE(normal_scope(std::string("/subscriptions/a\0b", 18)));
  EXPECT_FALSE(normal_scope("/subscriptions/" + std::string(3000, 'a')));
  EXPECT_FALSE(normal_scope("/subscriptions"));
  EXPECT_FALSE(normal_scope("/subscriptions/s/providers/Microsoft.Compute/virtualMachines"));
  EXPECT_EQ(require_scope("x").error().code, "InvalidScope");
}

TEST(Scope, BelowMeansAtASlash) {
  EXPECT_TRUE(is_at_or_below("/subscriptions/s1/x", "/subscriptions/s1"));
  EXPECT_FALSE(is_at_or_below("/subscriptions/s10", "/subscriptions/s1"));
  EXPECT_TRUE(is_at_or_below("/subscriptions/s1", "/"));
  EXPECT_EQ(subscription_of("/subscriptions/s/resourcegroups/r"), "/subscriptions/s");
  EXPECT_TRUE(is_management_group("/providers/microsoft.management/managementgroups/m"));
  EXPECT_FALSE(is_management_group("/providers/microsoft.management/managementgroups/m/x/y"));
}

}  // namespace
}  // namespace merlon::access
