// The routes that Merlon has without any service: metadata, subscriptions, lists, providers, tags, the
// activity log.
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class BuiltInRoutesTest : public ResourceFixture {
 protected:
  void SetUp() override { make_group(); }
  Answer list_resources(const std::string& filter, const std::string& more = {}) {
    return send("GET", kSubscription +
                           "/resources?api-version=2021-04-01&$filter=" + net::percent_encode(filter) + more);
  }
  Answer events(const std::string& filter) {
    return send(
        "GET",
        kSubscription +
            "/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$filter=" +
            net::percent_encode(filter));
  }
};

TEST_F(BuiltInRoutesTest, MetadataHasBothShapesAndNeedsNoToken) {
  const Answer first = send_as("", "GET", "/metadata/endpoints?api-version=2015-01-01");
  ASSERT_EQ(first.status, 200);
  EXPECT_EQ(first.at("authentication.loginEndpoint"), "https://merlon.localhost:8443/adfs");
  EXPECT_EQ(array_at(first.body, "authentication.audiences")->at(0).as_string(),
            "https://merlon.localhost:8443/");
  EXPECT_EQ(send_as("", "GET", "/metadata/endpoints?x=1").status, 200);
  const Answer later = send_as("", "GET", "/metadata/endpoints?api-version=2022-09-01");
  const Json clouds = must(parse_json(later.text));
  ASSERT_TRUE(clouds.is_array());
  const JsonObject& cloud = clouds.as_array().at(0).as_object();
  EXPECT_EQ(string_at(cloud, "resourceManager"), "https://merlon.localhost:8443");
  EXPECT_EQ(array_at(cloud, "authentication.audiences")->at(0).as_string(), "https://merlon.localhost:8443/");
  EXPECT_TRUE(string_at(cloud, "authentication.loginEndpoint")->ends_with("/adfs"));
  EXPECT_EQ(string_at(cloud, "suffixes.keyVaultDns"), "vault.merlon.localhost:8443");
  for (const char* key :
       {"name", "portal", "graphAudience", "microsoftGraphResourceId", "suffixes", "batch", "gallery"}) {
    EXPECT_TRUE(cloud.contains(key)) << key;
  }
}

TEST_F(BuiltInRoutesTest, TenantAndSubscription) {
  const Answer tenants = send("GET", "/tenants");
  EXPECT_EQ(array_at(tenants.body, "value")->at(0).at("tenantId").as_string(), tenant_.text());
  const Answer all = send("GET", "/subscriptions?api-version=2019-11-01");
  ASSERT_THAT(*array_at(all.body, "value"), SizeIs(1));
  EXPECT_EQ(array_at(all.body, "value")->at(0).at("state").as_string(), "Enabled");
  EXPECT_EQ(int_at(all.body, "count.value"), 1);
  EXPECT_EQ(send("GET", kSubscription).at("tenantId"), tenant_.text());
  EXPECT_THAT(send("GET", kSubscription + "/locations").names(), ElementsAre("local"));
  const Person eve = make_person("eve");
  EXPECT_THAT(*array_at(send_as(eve.token, "GET", "/subscriptions").body, "value"), IsEmpty());
  EXPECT_EQ(send_as(eve.token, "GET", kSubscription).status, 403);
  assign(eve, kReader, kGroup);
  EXPECT_THAT(*array_at(send_as(eve.token, "GET", "/subscriptions").body, "value"), SizeIs(1));
}

TEST_F(BuiltInRoutesTest, ResourcesAcrossTypes) {
  make_lid("lid");
  send("PUT", kBoxes + "/box", R"({"location":"local","tags":{"env":"prod","o'x":"1"}})");
  EXPECT_THAT(send("GET", kSubscription + "/resources").names(), ElementsAre("box", "lid"));
  EXPECT_THAT(send("GET", kGroup + "/resources").names(), ElementsAre("box", "lid"));
  EXPECT_THAT(list_resources("resourceType eq 'toy.things/boxes'").names(), ElementsAre("box"));
  EXPECT_THAT(list_resources("tagName eq 'env' and tagValue eq 'prod'").names(), ElementsAre("box"));
  EXPECT_THAT(list_resources("tagName eq 'env' and tagValue eq 'x'").names(), IsEmpty());
  EXPECT_THAT(list_resources("tagName eq 'o''x'").names(), ElementsAre("box"));
  EXPECT_THAT(list_resources("substringof('ID', name)").names(), ElementsAre("lid"));
  EXPECT_THAT(list_resources("name ne 'lid' and resourceGroup eq 'RG1'").names(), ElementsAre("box"));
  EXPECT_THAT(list_resources("name eq 'lid' or tagName eq 'env' and tagValue eq 'prod'").names(),
              ElementsAre("box", "lid"));
  EXPECT_THAT(
      list_resources("(name eq 'lid' or name eq 'box') and resourceType ne 'Toy.Things/lids'").names(),
      ElementsAre("box"));
  EXPECT_THAT(list_resources("substringof('G1', resourceGroup) and startswith(name, 'B')").names(),
              ElementsAre("box"));
  EXPECT_THAT(list_resources("identity/principalId eq 'x'").names(), IsEmpty());
  EXPECT_EQ(list_resources("name eq 'x'", "&$expand=properties").code(), "InvalidQueryParameterValue");
  EXPECT_EQ(list_resources("owner eq 'x'").code(), "InvalidFilterInQueryString");
  const Answer expanded =
      list_resources("name eq 'box'", "&$expand=createdTime,changedTime,provisioningState");
  const JsonObject& box = array_at(expanded.body, "value")->at(0).as_object();
  EXPECT_EQ(string_at(box, "provisioningState"), "Succeeded");
  EXPECT_TRUE(box.contains("createdTime") && box.contains("changedTime"));
  EXPECT_FALSE(box.contains("properties"));
  EXPECT_FALSE(box.contains("etag"));
}

TEST_F(BuiltInRoutesTest, ProvidersTellTypesAndVersions) {
  const Answer provider = send("GET", kSubscription + "/providers/toy.things");
  EXPECT_EQ(provider.at("namespace"), "Toy.Things");
  EXPECT_EQ(provider.at("registrationState"), "Registered");
  std::vector<std::string> types;
  for (const Json& type : *array_at(provider.body, "resourceTypes")) {
    types.push_back(string_at(type.as_object(), "resourceType").value_or(""));
    EXPECT_FALSE(type.at("apiVersions").as_array().empty()) << types.back();
  }
  EXPECT_THAT(types, testing::IsSupersetOf(
                         {"boxes", "boxes/items", "boxes/notes", "lids", "locations/rules", "rules"}));
  EXPECT_EQ(send("GET", kSubscription + "/providers/No.Such").code(), "InvalidResourceNamespace");
  EXPECT_THAT(send("GET", kSubscription + "/providers").text, HasSubstr("\"Microsoft.Authorization\""));
}

TEST_F(BuiltInRoutesTest, AnUnregisteredProviderTakesNoWrites) {
  const std::string provider = kSubscription + "/providers/Toy.Things";
  make_box("a");
  EXPECT_EQ(send("POST", provider + "/unregister").status, 409);
  send("DELETE", kBoxes + "/a");
  EXPECT_EQ(send("POST", provider + "/unregister").at("registrationState"), "NotRegistered");
  const Answer refused = make_box("a");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "MissingSubscriptionRegistration");
  EXPECT_EQ(send("POST", provider + "/register").at("registrationState"), "Registered");
  EXPECT_EQ(make_box("a").status, 201);
  EXPECT_EQ(send("POST", kSubscription + "/providers/Microsoft.Authorization/unregister").status, 409);
  EXPECT_THAT(entries("Toy.Things/register"), SizeIs(1));
}

TEST_F(BuiltInRoutesTest, TagsAreThingsOfTheirOwn) {
  make_box("a", R"({"color":"red"})");
  for (const std::string& scope : {kBoxes + "/a", kGroup, kSubscription}) {
    const std::string tags = scope + "/providers/Microsoft.Resources/tags/default";
    EXPECT_EQ(send("PUT", tags, R"({"properties":{"tags":{"a":"1","b":"2"}}})").status, 200) << scope;
    EXPECT_EQ(send("PATCH", tags, R"({"operation":"Merge","properties":{"tags":{"B":"3","c":"4"}}})").status,
              200);
    EXPECT_EQ(to_text(*object_at(send("GET", tags).body, "properties.tags")), R"({"a":"1","b":"3","c":"4"})")
        << scope;
    EXPECT_EQ(
        send("PATCH", tags, R"({"operation":"Delete","properties":{"tags":{"a":"","b":"other"}}})").status,
        200);
    EXPECT_EQ(to_text(*object_at(send("GET", tags).body, "properties.tags")), R"({"b":"3","c":"4"})")
        << scope;
    EXPECT_EQ(send("PATCH", tags, R"({"operation":"Burn","properties":{"tags":{}}})").status, 400);
    EXPECT_EQ(send("PATCH", tags, R"({"operation":"Merge","properties":{"tags":{"a/b":"1"}}})").code(),
              "InvalidTagNameCharacters");
  }
  EXPECT_EQ(send("GET", kBoxes + "/a").at("tags.b"), "3");
  EXPECT_EQ(send("GET", kBoxes + "/a").at("properties.color"), "red");
  EXPECT_EQ(send("GET", kGroup).at("tags.c"), "4");
  EXPECT_EQ(send("GET", kSubscription).at("tags.c"), "4");
  EXPECT_THAT(send("GET", kSubscription + "/tagNames").text, HasSubstr("\"tagName\":\"b\""));
  EXPECT_EQ(send("DELETE", kGroup + "/providers/Microsoft.Resources/tags/default").status, 200);
  EXPECT_EQ(send("GET", kGroup).text.find("\"c\""), std::string::npos);
  EXPECT_EQ(send("GET", kBoxes + "/none/providers/Microsoft.Resources/tags/default").status, 404);
  EXPECT_EQ(
      send("PUT", "/providers/Microsoft.Resources/tags/default", R"({"properties":{"tags":{}}})").code(),
      "TagsNotSupported");
}

TEST_F(BuiltInRoutesTest, PagesOfAListStandWhileItChanges) {
  for (int i = 0; i < 6; ++i) make_box("b" + std::to_string(i));
  for (const char* filter : {"", "resourceType eq 'Toy.Things/boxes'"}) {
    const Answer first = list_resources(filter, "&$top=3");
    EXPECT_THAT(first.names(), ElementsAre("b0", "b1", "b2"));
    // What the next page begins after is gone, and something new stands before it.
    EXPECT_EQ(send("DELETE", kBoxes + "/b2").status, 200);
    make_box("a");
    const std::string next = first.at("nextLink").substr(std::string(kOrigin).size());
    EXPECT_THAT(send("GET", next).names(), ElementsAre("b3", "b4", "b5"));
    const std::string token = next.substr(next.find("%24skiptoken="));
    EXPECT_EQ(send("GET", kSubscription + "/resourcegroups?api-version=2021-04-01&" + token).code(),
              *filter == 0 ? "" : "InvalidSkipToken");
    make_box("b2");
    send("DELETE", kBoxes + "/a");
  }
  EXPECT_EQ(list_resources("", "&$skiptoken=x").code(), "InvalidSkipToken");
  EXPECT_EQ(list_resources("", "&$top=0").code(), "InvalidQueryParameterValue");
}

TEST_F(BuiltInRoutesTest, TagNamesAreSetUpAndTakenAway) {
  const std::string names = kSubscription + "/tagNames";
  EXPECT_EQ(send("PUT", names + "/Env").status, 201);
  EXPECT_EQ(send("PUT", names + "/env").status, 200);
  EXPECT_EQ(send("PUT", names + "/env/tagValues/prod").status, 201);
  EXPECT_EQ(send("PUT", names + "/env/tagValues/prod").status, 200);
  EXPECT_EQ(send("PUT", names + "/none/tagValues/x").code(), "TagNotFound");
  EXPECT_EQ(send("PUT", names + "/Microsoft-x").code(), "InvalidTagName");
  EXPECT_EQ(send("PUT", names + "/a%3Cb").code(), "InvalidTagNameCharacters");
  EXPECT_EQ(send("PUT", names + "/env/tagValues/" + std::string(257, 'x')).code(), "TagValueTooLong");
  send("PUT", kBoxes + "/box", R"({"location":"local","tags":{"env":"prod","team":"blue"}})");
  const Answer listed = send("GET", names);
  ASSERT_THAT(*array_at(listed.body, "value"), SizeIs(2)) << listed.text;
  const JsonObject& env = array_at(listed.body, "value")->at(0).as_object();
  EXPECT_EQ(string_at(env, "tagName"), "Env");
  EXPECT_EQ(int_at(env, "count.value"), 1);
  EXPECT_EQ(send("DELETE", names + "/env").code(), "TagInUse");
  EXPECT_EQ(send("DELETE", names + "/env/tagValues/prod").code(), "TagInUse");
  send("DELETE", kBoxes + "/box");
  EXPECT_EQ(send("DELETE", names + "/env").status, 200);
  EXPECT_EQ(send("DELETE", names + "/env").status, 204);
  EXPECT_THAT(*array_at(send("GET", names).body, "value"), IsEmpty());
  const Person ada = make_person("ada");
  assign(ada, kReader, kSubscription);
  EXPECT_EQ(send_as(ada.token, "PUT", names + "/x").status, 403);
  EXPECT_THAT(entries("Microsoft.Resources/subscriptions/tagNames/delete"), SizeIs(3));
}

TEST_F(BuiltInRoutesTest, TheActivityLogTellsTheLedger) {
  make_box("a");
  make_box("b", R"({"color":"black"})");
  const Person eve = make_person("eve");
  send_as(eve.token, "DELETE", kBoxes + "/a");
  const std::string since =
      "eventTimestamp ge 2020-01-01T18:54:51.775986 and eventTimestamp le '2100-01-01T00:00:00Z'";
  const Answer all = events(since + " and resourceProvider eq 'toy.things'");
  ASSERT_EQ(all.status, 200) << all.text;
  ASSERT_THAT(*array_at(all.body, "value"), SizeIs(3));
  const JsonObject& newest = array_at(all.body, "value")->at(0).as_object();
  EXPECT_EQ(string_at(newest, "operationName.value"), "Toy.Things/boxes/delete");
  EXPECT_EQ(string_at(newest, "status.value"), "Failed");
  EXPECT_EQ(string_at(newest, "subStatus.value"), "Forbidden");
  EXPECT_EQ(string_at(newest, "caller"), eve.name);
  EXPECT_EQ(string_at(newest, "resourceGroupName"), "rg1");
  EXPECT_THAT(
      *array_at(events(since + " and status eq 'Succeeded' and resourceId eq '" + kBoxes + "/A'").body,
                "value"),
      SizeIs(1));
  EXPECT_THAT(*array_at(events(since + " and caller eq 'eve@merlon.localhost'").body, "value"), SizeIs(1));
  EXPECT_THAT(*array_at(events("eventTimestamp ge '2099-01-01T00:00:00Z'").body, "value"), IsEmpty());
  EXPECT_EQ(events("eventTimestamp ge 'yesterday'").code(), "InvalidFilterInQueryString");
  EXPECT_EQ(events("weather eq 'fine'").code(), "InvalidFilterInQueryString");
}

TEST_F(BuiltInRoutesTest, TheActivityLogComesInPages) {
  for (int i = 0; i < 5; ++i) make_box("b" + std::to_string(i));
  std::string next =
      kSubscription +
      "/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$top=2&$filter=" +
      net::percent_encode("resourceProvider eq 'Toy.Things'");
  std::vector<std::string> seen;
  while (!next.empty()) {
    const Answer page = send("GET", next);
    ASSERT_EQ(page.status, 200) << page.text;
    for (const Json& event : *array_at(page.body, "value"))
      seen.push_back(string_at(event.as_object(), "resourceId").value_or(""));
    next = page.at("nextLink");
    if (!next.empty()) next = next.substr(std::string(kOrigin).size());
  }
  EXPECT_THAT(seen,
              ElementsAre(kBoxes + "/b4", kBoxes + "/b3", kBoxes + "/b2", kBoxes + "/b1", kBoxes + "/b0"));
}

}  // namespace
}  // namespace merlon::resource
