// The query language by itself: what it means, and what it refuses by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "resource/resource_graph_rows.h"

namespace merlon::resource {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

GraphRow row(const std::string& name, const std::string& type, const std::string& more) {
  GraphRow made;
  for (const std::string& column : graph_table_columns()) made[column] = nullptr;
  made["name"] = name;
  made["type"] = type;
  const auto parsed = parse_json_object(more);
  EXPECT_TRUE(parsed.has_value()) << more;
  for (const auto& member : *parsed) made[member.key()] = member.value();
  return made;
}

std::vector<GraphRow> rows() {
  return {
      row("web-1", "vm",
          R"({"tags":{"env":"prod","n":"1"},"properties":{"size":4,"on":true,"list":["a","b"]}})"),
      row("web-2", "vm", R"({"tags":{"env":"Test"},"properties":{"size":8,"on":false}})"),
      row("db_1", "vm", R"({"properties":{"size":2.5}})"),
      row("Net", "network", R"({"tags":{"env":"prod"},"location":"local"})"),
  };
}

std::vector<GraphRow> ask(const std::string& query) {
  const auto parsed = parse_graph_query(query);
  if (!parsed) {
    ADD_FAILURE() << query << ": " << parsed.error().message;
    return {};
  }
  GraphWork work;
  return *run_graph_query(*parsed, rows(), work);
}

std::vector<std::string> names(const std::string& operators) {
  std::vector<std::string> found;
  for (const GraphRow& one : ask("Resources | " + operators))
    found.push_back(one.at("name").is_string() ? std::string(one.at("name").get_string()) : "-");
  return found;
}

std::string text(const std::string& operators) {
  JsonArray all;
  for (GraphRow& one : ask("resources | " + operators)) all.push_back(std::move(one));
  return to_text(Json(all));
}

TEST(GraphQuery, ComparesAsKustoDoes) {
  EXPECT_THAT(names("where type == 'network'"), ElementsAre("Net"));
  EXPECT_THAT(names("where type == 'NETWORK'"), IsEmpty());
  EXPECT_THAT(names("where type =~ 'NETWORK'"), ElementsAre("Net"));
  EXPECT_THAT(names("where name !~ 'NET'"), ElementsAre("web-1", "web-2", "db_1"));
  EXPECT_THAT(names("where type != 'vm' or name contains 'B-2'"), ElementsAre("web-2", "Net"));
  EXPECT_THAT(names("where name startswith 'WEB' and tags['env'] =~ \"test\""), ElementsAre("web-2"));
  EXPECT_THAT(names("where name endswith '1' and name !contains 'web'"), ElementsAre("db_1"));
  EXPECT_THAT(names("where name has 'WEB'"), ElementsAre("web-1", "web-2"));
  EXPECT_THAT(names("where name has 'we'"), IsEmpty());
  EXPECT_THAT(names("where name in ('web-1', 'net')"), ElementsAre("web-1"));
  EXPECT_THAT(names("where name in~ ('web-1', 'net')"), ElementsAre("web-1", "Net"));
  EXPECT_THAT(names("where name !in~ ('web-1', 'net')"), ElementsAre("web-2", "db_1"));
  EXPECT_THAT(names("where properties.size > 3 and properties.size <= 8"), ElementsAre("web-1", "web-2"));
  EXPECT_THAT(names("where properties.size == 2.5"), ElementsAre("db_1"));
  EXPECT_THAT(names("where properties.on == true"), ElementsAre("web-1"));
  EXPECT_THAT(names("where properties.list[1] == 'b'"), ElementsAre("web-1"));
  EXPECT_THAT(names("where tags.n == 1 or isnull(tags)"), ElementsAre("web-1", "db_1"));
  EXPECT_THAT(names("where (type == 'vm') and not(properties.size < 5)"), ElementsAre("web-2"));
}

TEST(GraphQuery, WhatIsMissingMatchesNothingButItsAbsence) {
  EXPECT_THAT(names("where tags.env != 'prod'"), ElementsAre("web-2", "db_1"));
  EXPECT_THAT(names("where properties.none.at.all == 'x'"), IsEmpty());
  EXPECT_THAT(names("where properties.none > 1 or properties.none < 1"), IsEmpty());
  EXPECT_THAT(names("where isempty(tags.env)"), ElementsAre("db_1"));
  EXPECT_THAT(names("where isnotempty(location)"), ElementsAre("Net"));
}

TEST(GraphQuery, ShapesItsRows) {
  EXPECT_EQ(text("where name == 'web-1' | project name, env = tags['env'], properties.size, tags.x"),
            R"([{"name":"web-1","env":"prod","properties_size":4,"tags_x":null}])");
  EXPECT_EQ(text("where name == 'Net' | project name, location | extend t = strcat(toupper(name), '-', 1)"),
            R"([{"name":"Net","location":"local","t":"NET-1"}])");
  EXPECT_EQ(text("where name == 'Net' | project name, type | project-away type"), R"([{"name":"Net"}])");
  EXPECT_EQ(text("where type == 'vm' | project tolower(name) | order by Column1 desc | take 1"),
            R"([{"Column1":"web-2"}])");
  EXPECT_EQ(text("project iff(type == 'vm', toint(properties.size), array_length(tags)) | limit 1"),
            R"([{"Column1":4}])");
  EXPECT_EQ(text("limit 0"), "[]");
}

TEST(GraphQuery, OrdersWithNullsWhereTheyBelong) {
  EXPECT_THAT(names("order by name asc"), ElementsAre("Net", "db_1", "web-1", "web-2"));
  EXPECT_THAT(names("sort by properties.size"), ElementsAre("web-2", "web-1", "db_1", "Net"));
  EXPECT_THAT(names("sort by properties.size asc"), ElementsAre("Net", "db_1", "web-1", "web-2"));
  EXPECT_THAT(names("sort by properties.size asc nulls last, name"),
              ElementsAre("db_1", "web-1", "web-2", "Net"));
  EXPECT_THAT(names("order by type asc, name desc"), ElementsAre("Net", "web-2", "web-1", "db_1"));
  EXPECT_THAT(names("top 2 by name asc"), ElementsAre("Net", "db_1"));
}

TEST(GraphQuery, CountsAndGroups) {
  EXPECT_EQ(text("where type == 'vm' | count"), R"([{"Count":3}])");
  EXPECT_EQ(text("summarize count() by type | order by count_ desc"),
            R"([{"type":"vm","count_":3},{"type":"network","count_":1}])");
  EXPECT_EQ(
      text("summarize n = count(), dcount(tags.env), countif(properties.on == true), min(properties.size), "
           "biggest = max(properties.size)"),
      R"([{"n":4,"dcount_tags_env":2,"countif_":1,"min_properties_size":2.5,"biggest":8}])");
  EXPECT_EQ(text("where name == 'none' | summarize count()"), R"([{"count_":0}])");
  EXPECT_EQ(text("where name == 'none' | summarize count() by type"), "[]");
  EXPECT_EQ(
      text("distinct type, isempty(tags) | order by type asc, Column1 asc"),
      R"([{"type":"network","Column1":false},{"type":"vm","Column1":false},{"type":"vm","Column1":true}])");
  EXPECT_EQ(text("project type | distinct * | count"), R"([{"Count":2}])");
}

std::string refusal(const std::string& query) {
  const auto parsed = parse_graph_query(query);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().code, "BadRequest");
  EXPECT_EQ(parsed.error().details.size(), 2U);
  return parsed.error().details.back().code + ": " + parsed.error().message;
}

TEST(GraphQuery, RefusesByNameWhatItDoesNotDo) {
  EXPECT_THAT(refusal("Resources | join kind=inner (Resources) on id"),
              testing::AllOf(HasSubstr("UnsupportedFeature"), HasSubstr("'join'"), HasSubstr("summarize")));
  EXPECT_THAT(refusal("Resources | mv-expand tags"), HasSubstr("'mv-expand'"));
  EXPECT_THAT(refusal("PolicyResources | limit 1"), HasSubstr("'PolicyResources'"));
  EXPECT_THAT(refusal("Resources | where name matches regex 'a'"), HasSubstr("'matches'"));
  EXPECT_THAT(refusal("Resources | where created > 1"), HasSubstr("'created'"));
  EXPECT_THAT(refusal("Resources | where name == ago(1)"), HasSubstr("'ago'"));
  EXPECT_THAT(refusal("Resources | summarize avg(properties.size)"), HasSubstr("'avg'"));
  EXPECT_THAT(refusal("Resources | where nmae == 'x'"),
              testing::AllOf(HasSubstr("SemanticFailure"), HasSubstr("'nmae'"), HasSubstr("subscriptionId")));
  EXPECT_THAT(refusal("Resources | project name | where type == 'x'"), HasSubstr("'type'"));
  EXPECT_THAT(refusal("Resources | where name == 'x' ; Resources"), HasSubstr("';'"));
}

TEST(GraphQuery, SaysWhereItIsWrong) {
  EXPECT_THAT(refusal(""), HasSubstr("line 1, character 1"));
  EXPECT_THAT(refusal("Resources\n| where name =="), HasSubstr("line 2, character 16"));
  EXPECT_THAT(refusal("Resources | where name == 'x"), HasSubstr("no end"));
  EXPECT_THAT(refusal("Resources |"), HasSubstr("an operator"));
  EXPECT_THAT(refusal("Resources limit 1"), HasSubstr("'|'"));
  EXPECT_THAT(refusal("Resources | limit x"), HasSubstr("whole number"));
  EXPECT_THAT(refusal("Resources | limit -1"), HasSubstr("whole number"));
  EXPECT_THAT(refusal("Resources | project name, name"), HasSubstr("second column"));
}

TEST(GraphQuery, IsBounded) {
  EXPECT_THAT(refusal("Resources | where " + std::string(100, '(') + "true"), HasSubstr("32 levels"));
  std::string nested = "true";
  for (int i = 0; i < 60; ++i) nested = "not(" + nested + ")";
  EXPECT_THAT(refusal("Resources | where " + nested), HasSubstr("32 levels"));
  std::string many = "Resources";
  for (int i = 0; i < 60; ++i) many += " | limit 1";
  EXPECT_THAT(refusal(many), HasSubstr("50 operators"));
  EXPECT_THAT(refusal("Resources | where name == '" + std::string(40'000, 'x') + "'"), HasSubstr("32768"));
  std::string chain = "Resources | where name == 'a'";
  for (int i = 0; i < 300; ++i) chain += " or name == 'a'";
  EXPECT_THAT(refusal(chain), HasSubstr("256 terms"));
  std::string steps = "Resources | where properties";
  for (int i = 0; i < 40; ++i) steps += ".a";
  EXPECT_THAT(refusal(steps + " == 1"), HasSubstr("32 steps"));
}

}  // namespace
}  // namespace merlon::resource
