// Routing: literals in any case, names, scopes, and the right answer where nothing fits.
#include "resource/router.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace merlon::resource {
namespace {

constexpr const char* kSubscription = "subscriptions/22222222-2222-2222-2222-222222222222";

class RouterTest : public testing::Test {
 protected:
  void declare(const std::string& method, const std::string& path) {
    Route route;
    route.method = method;
    route.path = path;
    router.add(route, paths.size());
    paths.push_back(path);
  }
  Router::Match find(const std::string& method, const std::string& path) {
    std::vector<std::string> segments;
    for (const auto part : split(path, '/')) segments.emplace_back(part);
    return router.find(method, segments);
  }
  std::string path_of(const std::string& method, const std::string& path) {
    const auto match = find(method, path);
    return match.route ? paths[*match.route] : std::string("none");
  }
  Router router;
  std::vector<std::string> paths;
};

TEST_F(RouterTest, LiteralsCompareWithoutCaseAndParametersKeepIt) {
  declare("GET", "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}");
  const auto match = find("GET", std::string(kSubscription) + "/resourcegroups/MyRg");
  ASSERT_TRUE(match.route.has_value());
  EXPECT_EQ(match.parameters.at("resourceGroupName"), "MyRg");
  EXPECT_EQ(match.id_segments, 4U);
}

TEST_F(RouterTest, EarlierLiteralsWinWhateverTheOrderOfDeclaration) {
  declare("GET", "/subscriptions/{s}/providers/{namespace}/{type}");
  declare("GET", "/subscriptions/{s}/providers/Microsoft.Network/things");
  declare("GET", "/{+scope}/providers/Microsoft.Network/things");
  EXPECT_EQ(path_of("GET", std::string(kSubscription) + "/providers/microsoft.network/THINGS"), paths[1]);
  EXPECT_EQ(path_of("GET", std::string(kSubscription) + "/providers/Microsoft.Network/others"), paths[0]);
  EXPECT_EQ(path_of("GET", "providers/Microsoft.Network/things"), paths[2]);
}

TEST_F(RouterTest, AMoreGeneralShapeDoesNotLendItsMethods) {
  declare("GET", "/a/b");
  declare("DELETE", "/a/{x}");
  const auto match = find("DELETE", "a/b");
  EXPECT_TRUE(match.found);
  EXPECT_FALSE(match.route.has_value());
  EXPECT_EQ(match.allowed, std::vector<std::string>{"GET"});
}

TEST_F(RouterTest, HeadIsServedByGet) {
  declare("GET", "/a/{x}");
  EXPECT_EQ(path_of("HEAD", "a/1"), "/a/{x}");
  EXPECT_EQ(path_of("POST", "a/1"), "none");
}

TEST_F(RouterTest, ScopesAreAnyIdAndTheRoot) {
  declare("GET", "/{+scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
  declare("GET", "/{+scope}/providers/Microsoft.Authorization/roleAssignments");
  const std::string tail = "providers/Microsoft.Authorization/roleAssignments";
  const std::string machine =
      std::string(kSubscription) + "/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";
  EXPECT_EQ(find("GET", machine + "/" + tail).parameters.at("+scope"), "/" + machine);
  EXPECT_EQ(find("GET", machine + "/" + tail).id_segments, 8U);
  EXPECT_EQ(find("GET", machine + "/" + tail + "/n").id_segments, 12U);
  EXPECT_EQ(find("GET", tail + "/n").parameters.at("+scope"), "/");
  EXPECT_EQ(find("GET", tail + "/n").parameters.at("name"), "n");
}

TEST_F(RouterTest, ActionsAndListsAreNotPartOfTheId) {
  declare("POST",
          "/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Security/locations/{l}/policies/{p}/"
          "initiate");
  declare("GET", "/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Security/locations/{l}/policies");
  declare("GET", "/subscriptions/{s}/providers/Microsoft.Security/policies");
  const std::string base =
      std::string(kSubscription) + "/resourceGroups/g/providers/Microsoft.Security/locations/l/policies";
  EXPECT_EQ(find("POST", base + "/p/initiate").id_segments, 10U);
  EXPECT_EQ(find("GET", base).id_segments, 8U);  // the location
  EXPECT_EQ(find("GET", std::string(kSubscription) + "/providers/Microsoft.Security/policies").id_segments,
            2U);
}

}  // namespace
}  // namespace merlon::resource
