// Resource groups, and the deletion that takes all or nothing.
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class GroupsTest : public ResourceFixture {
 protected:
  std::string group(const std::string& name) const { return kSubscription + "/resourcegroups/" + name; }
};

TEST_F(GroupsTest, LifeOfAGroup) {
  const std::string path = group("Rg_1.(x)-y");
  EXPECT_EQ(send("GET", path).code(), "ResourceGroupNotFound");
  EXPECT_EQ(send("HEAD", path).status, 404);
  const Answer made =
      send("PUT", path, R"({"location":"West Europe","tags":{"a":"b"},"properties":{"x":1}})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.text,
            R"({"id":")" + kSubscription + R"(/resourceGroups/Rg_1.(x)-y","name":"Rg_1.(x)-y",)" +
                R"("type":"Microsoft.Resources/resourceGroups","location":"westeurope","tags":{"a":"b"},)" +
                R"("properties":{"provisioningState":"Succeeded"}})");
  EXPECT_EQ(send("HEAD", path).status, 204);
  const Answer again = send("PUT", group("RG_1.(X)-Y"), R"({"location":"westeurope"})");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.at("name"), "Rg_1.(x)-y");
  EXPECT_EQ(send("PUT", path, R"({"location":"moon"})").code(), "InvalidResourceGroupLocation");
  EXPECT_EQ(send("PATCH", path, R"({"tags":{"c":"d"}})").at("tags.c"), "d");
  EXPECT_THAT(send("GET", kSubscription + "/resourcegroups").names(), ElementsAre("Rg_1.(x)-y"));
  const Answer gone = send("DELETE", path);
  ASSERT_EQ(gone.status, 202);
  const std::string poll = gone.headers.find("Location")->substr(std::string(kOrigin).size());
  EXPECT_THAT(poll, HasSubstr(kSubscription + "/operationresults/"));
  EXPECT_EQ(send("GET", poll).status, 204);
  EXPECT_EQ(send("DELETE", path).code(), "ResourceGroupNotFound");
}

TEST_F(GroupsTest, RefusesBadNames) {
  for (const std::string& name :
       {std::string("a."), std::string("a b"), std::string("a!"), std::string(91, 'a')}) {
    const Answer answer = send("PUT", group(net::percent_encode(name)), R"({"location":"local"})");
    EXPECT_EQ(answer.status, 400) << name;
    EXPECT_EQ(answer.code(), "InvalidResourceGroup") << name;
  }
  EXPECT_EQ(send("PUT", group("ok"), "{}").code(), "LocationRequired");
  EXPECT_EQ(send("PUT", group("ok"), "").code(), "LocationRequired");
}

TEST_F(GroupsTest, ListsAreFilteredByTagAndByRight) {
  send("PUT", group("a"), R"({"location":"local","tags":{"env":"prod"}})");
  send("PUT", group("b"), R"({"location":"local","tags":{"env":"test"}})");
  const std::string list = kSubscription + "/resourcegroups?api-version=2021-04-01&$filter=";
  EXPECT_THAT(send("GET", list + net::percent_encode("tagName eq 'ENV' and tagValue eq 'prod'")).names(),
              ElementsAre("a"));
  EXPECT_THAT(send("GET", list + net::percent_encode("tagName eq 'env'")).names(), ElementsAre("a", "b"));
  EXPECT_EQ(send("GET", list + net::percent_encode("color eq 'red'")).code(), "InvalidFilterInQueryString");
  EXPECT_EQ(send("GET", list + net::percent_encode("tagName eq 'env")).code(), "InvalidFilterInQueryString");
  const Person ada = make_person("ada");
  EXPECT_THAT(send_as(ada.token, "GET", kSubscription + "/resourcegroups").names(), IsEmpty());
  assign(ada, kReader, kSubscription + "/resourceGroups/b");
  EXPECT_THAT(send_as(ada.token, "GET", kSubscription + "/resourcegroups").names(), ElementsAre("b"));
}

TEST_F(GroupsTest, DeletionTakesDependentsFirst) {
  make_group();
  make_lid("a-lid");
  make_lid("z-lid");
  make_box("m", R"({"lid":{"id":")" + kLids + "/a-lid\"}}");
  make_box("n", R"({"lid":{"id":")" + kLids + "/z-lid\"}}");
  send("PUT", kBoxes + "/m/notes/n1", "{}");
  const Person ada = make_person("ada");
  assign(ada, kOwner, kGroup);
  ASSERT_EQ(send("DELETE", kGroup).status, 202);
  ASSERT_THAT(removed_, SizeIs(4));
  const auto at = [&](const std::string& name) {
    return std::ranges::find(removed_, name) - removed_.begin();
  };
  EXPECT_LT(at("m"), at("a-lid"));
  EXPECT_LT(at("n"), at("z-lid"));
  EXPECT_THAT(entries("Toy.Things/boxes/notes/delete"), SizeIs(1));
  EXPECT_THAT(entries("Toy.Things/lids/delete"), SizeIs(2));
  make_group();
  EXPECT_THAT(send("GET", kGroup + "/resources").names(), IsEmpty());
  EXPECT_EQ(send_as(ada.token, "GET", kGroup).status, 403);  // a new group of an old name
}

TEST_F(GroupsTest, ARefusalLeavesEverythingAsItWas) {
  make_group();
  make_group("rg2");
  make_lid("lid");
  make_box("here");
  const std::string far = kSubscription + "/resourceGroups/rg2/providers/Toy.Things/boxes/far";
  ASSERT_EQ(
      send("PUT", far, R"({"location":"local","properties":{"lid":{"id":")" + kLids + "/lid\"}}}").status,
      201);
  const Answer refused = send("DELETE", kGroup);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "ResourceGroupDeletionBlocked");
  EXPECT_THAT(refused.message(), HasSubstr(kLids + "/lid"));
  EXPECT_EQ(array_at(refused.body, "error.details")->at(0).at("code").as_string(), "InUseLidCannotBeDeleted");
  EXPECT_EQ(send("GET", kBoxes + "/here").status, 200);
  EXPECT_EQ(send("GET", kLids + "/lid").status, 200);
  EXPECT_THAT(entries("Toy.Things/boxes/delete"), IsEmpty());
  const auto entered = entries("Microsoft.Resources/subscriptions/resourceGroups/delete");
  ASSERT_THAT(entered, SizeIs(1));
  EXPECT_EQ(entered[0].decision, ledger::Decision::failed);
}

TEST_F(GroupsTest, DeletionNeedsTheRight) {
  make_group();
  make_box("a");
  const Person ada = make_person("ada");
  assign(ada, kReader, kSubscription);
  EXPECT_EQ(send_as(ada.token, "DELETE", kGroup).status, 403);
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 200);
}

}  // namespace
}  // namespace merlon::resource
