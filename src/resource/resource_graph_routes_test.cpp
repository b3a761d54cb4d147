// Queries over what is stored: who sees which rows, in which form, page by page.
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ResourceGraphTest : public ResourceFixture {
 protected:
  static constexpr const char* kTarget =
      "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01";
  void SetUp() override {
    make_group();
    make_group("rg2");
    make_lid("lid");
    for (const char* name : {"a", "b", "c"}) make_box(name, R"({"color":"blue"})");
    send("PUT", kSubscription + "/resourceGroups/rg2/providers/Toy.Things/boxes/d",
         R"({"location":"local","tags":{"env":"prod"},"properties":{"color":"red"}})");
  }
  Answer ask_as(const std::string& token, const std::string& query, const std::string& options = "{}") {
    const JsonObject body{{"query", query},
                          {"options", must(parse_json(options))},
                          {"subscriptions", JsonArray{Json(core_->subscription.text())}}};
    return send_as(token, "POST", kTarget, to_text(body));
  }
  Answer ask(const std::string& query, const std::string& options = "{}") {
    return ask_as(owner_.token, query, options);
  }
  static std::vector<std::string> names(const Answer& answer) {
    std::vector<std::string> found;
    if (const JsonArray* data = array_at(answer.body, "data")) {
      for (const Json& one : *data) found.push_back(string_at(one.as_object(), "name").value_or(""));
    }
    return found;
  }
};

// Whoever has signed in may ask, without any right: an operator multiplies what the one before it made.
TEST_F(ResourceGraphTest, AQueryThatMakesTooMuchIsRefused) {
  std::string times = "a=strcat(a";
  for (int i = 0; i < 63; ++i) times += ",a";
  std::string query = "Resources | count | extend a='0123456789abcdef'";
  for (int i = 0; i < 5; ++i) query += " | extend " + times + ")";
  for (const std::string& costly :
       {query + " | count",
        std::string("Resources | extend a=strcat(") +
            [] {
              std::string parts = "'" + std::string(20'000, 'a') + "'";
              for (int i = 0; i < 40; ++i) parts += ",'" + std::string(200, 'a') + "'";
              return parts;
            }() +
            ") | extend b=strcat(a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a) | extend "
            "c=strcat(b,'b') | where b contains c | where b contains c"}) {
    const Answer answer = ask(costly);
    EXPECT_EQ(answer.status, 400) << answer.text.substr(0, 300);
    EXPECT_THAT(answer.text, HasSubstr("QueryTooExpensive"));
  }
}

TEST_F(ResourceGraphTest, AnswersAsAzureDoes) {
  const Answer answer =
      ask("Resources | where type =~ 'Toy.Things/boxes' and tags['env'] == 'prod' | project "
          "name, type, resourceGroup, id, color = properties.color, subscriptionId");
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(int_at(answer.body, "totalRecords"), 1);
  EXPECT_EQ(int_at(answer.body, "count"), 1);
  EXPECT_EQ(answer.at("resultTruncated"), "false");
  const JsonObject& row = array_at(answer.body, "data")->at(0).as_object();
  EXPECT_EQ(string_at(row, "type"), "toy.things/boxes");
  EXPECT_EQ(string_at(row, "resourceGroup"), "rg2");
  EXPECT_EQ(string_at(row, "color"), "red");
  EXPECT_EQ(string_at(row, "subscriptionId"), core_->subscription.text());
  const Answer table =
      ask("Resources | summarize count() by type | order by count_ desc", R"({"resultFormat":"table"})");
  EXPECT_EQ(to_text(*object_at(table.body, "data")),
            R"({"columns":[{"name":"type","type":"string"},{"name":"count_","type":"integer"}],)"
            R"("rows":[["toy.things/boxes",4],["toy.things/lids",1]]})");
  EXPECT_THAT(names(ask("ResourceContainers | where type endswith 'resourcegroups' | project name")),
              ElementsAre("rg1", "rg2"));
}

TEST_F(ResourceGraphTest, ShowsOnlyWhatTheCallerMayRead) {
  const std::string query = "Resources | project name | order by name asc";
  const Person eve = make_person("eve");
  const Answer nothing = ask_as(eve.token, query);
  EXPECT_EQ(nothing.status, 200);
  EXPECT_THAT(names(nothing), IsEmpty());
  EXPECT_EQ(array_at(ask_as(eve.token, "Resources | count").body, "data")->at(0).at("Count").to_number<int>(),
            0);
  assign(eve, kReader, kBoxes + "/b");
  assign(eve, kReader, kSubscription + "/resourceGroups/rg2");
  EXPECT_THAT(names(ask_as(eve.token, query)), ElementsAre("b", "d"));
  EXPECT_THAT(names(ask_as(eve.token, "ResourceContainers | project name")), ElementsAre("rg2"));
  EXPECT_THAT(names(ask(query)), ElementsAre("a", "b", "c", "d", "lid"));
  EXPECT_EQ(ask_as("", query).status, 401);
}

TEST_F(ResourceGraphTest, PagesUntilTheEnd) {
  const std::string query = "Resources | project name | order by name asc";
  std::vector<std::string> seen;
  std::string options = R"({"$top":2})";
  for (int page = 0; page < 5; ++page) {
    const Answer answer = ask(query, options);
    ASSERT_EQ(answer.status, 200) << answer.text;
    EXPECT_EQ(int_at(answer.body, "totalRecords"), 5);
    for (std::string& name : names(answer)) seen.push_back(std::move(name));
    const std::string token = answer.at("$skipToken");
    if (token.empty()) break;
    options = R"({"$top":2,"$skipToken":")" + token + "\"}";
    EXPECT_EQ(ask("Resources | project id", options).code(), "BadRequest");  // another query's token
  }
  EXPECT_THAT(seen, ElementsAre("a", "b", "c", "d", "lid"));
  EXPECT_THAT(names(ask(query, R"({"$skip":4})")), ElementsAre("lid"));
  EXPECT_THAT(names(ask(query, R"({"$skip":40})")), IsEmpty());
  EXPECT_EQ(ask(query, R"({"$top":1001})").status, 400);
  EXPECT_EQ(ask(query, R"({"$skipToken":"!!"})").code(), "BadRequest");
}

TEST_F(ResourceGraphTest, RefusesWhatItCannotAnswer) {
  const Answer join = ask("Resources | join (Resources) on id");
  EXPECT_EQ(join.status, 400);
  EXPECT_EQ(join.code(), "BadRequest");
  EXPECT_THAT(join.text, HasSubstr("'join' is not supported"));
  const auto post = [&](const std::string& body) { return send("POST", kTarget, body); };
  EXPECT_EQ(post("{}").status, 400);
  EXPECT_THAT(post(R"({"query":"Resources","subscriptions":["33333333-3333-4333-8333-333333333333"]})").text,
              HasSubstr("NoValidSubscriptionsInQueryRequest"));
  EXPECT_THAT(post(R"({"query":"Resources","managementGroups":["root"]})").text,
              HasSubstr("UnsupportedFeature"));
  EXPECT_THAT(post(R"({"query":"Resources","facets":[{"expression":"x"}]})").text,
              HasSubstr("UnsupportedFeature"));
  EXPECT_EQ(post(R"({"query":"Resources | where name == 'a'"})").status,
            200);  // no subscription: all of them
}

}  // namespace
}  // namespace merlon::resource
