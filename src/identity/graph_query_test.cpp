// OData filters: what az writes, and what must be refused instead of listing everything.
#include "identity/graph_query.h"

#include <gtest/gtest.h>

namespace merlon::identity {
namespace {

TEST(GraphFilter, WhatToolsWrite) {
  const auto terms = parse_graph_filter(
      "appId eq 'x''y' and startswith(displayName,'we b') and "
      "servicePrincipalNames/any(c:c eq 'api://z') and accountEnabled eq true");
  ASSERT_TRUE(terms) << terms.error().message;
  ASSERT_EQ(terms->size(), 4U);
  EXPECT_EQ((*terms)[0].field, "appId");
  EXPECT_EQ((*terms)[0].value, "x'y");
  EXPECT_EQ((*terms)[1].op, FilterOperator::starts_with);
  EXPECT_EQ((*terms)[1].value, "we b");
  EXPECT_EQ((*terms)[2].op, FilterOperator::any_equals);
  EXPECT_EQ((*terms)[2].value, "api://z");
  EXPECT_EQ((*terms)[3].value, "true");
}

TEST(GraphFilter, WhatIsNotUnderstoodIsRefused) {
  for (const std::string text :
       {"", " ", "a", "a eq", "a eq 'x", "a ne 'x'", "a eq 'x' or b eq 'y'", "a eq 'x' and", "not a eq 'x'",
        "startswith(a", "startswith(a,'x'", "startswith('x',a)", "a/any(c:d eq 'x')", "a/any(c eq 'x')",
        "a/all(c:c eq 'x')", "(a eq 'x')", "a eq 'x' b", "a eq 'x'\n", "'x' eq a"})
    EXPECT_FALSE(parse_graph_filter(text)) << text;
  EXPECT_FALSE(parse_graph_filter(std::string(5000, 'a')));
  std::string many = "a eq 1";
  for (int i = 0; i < 20; ++i) many += " and a eq 1";
  EXPECT_FALSE(parse_graph_filter(many));
}

TEST(GraphFilter, Matching) {
  const JsonObject object{
      {"name", "Web"}, {"enabled", true}, {"uris", JsonArray{"api://a", "api://b"}}, {"mail", nullptr}};
  const auto holds = [&](const std::string& text) { return matches(*parse_graph_filter(text), object); };
  EXPECT_TRUE(*holds("name eq 'web'"));
  EXPECT_FALSE(*holds("name eq 'we'"));
  EXPECT_TRUE(*holds("startswith(NAME,'we')"));
  EXPECT_TRUE(*holds("enabled eq true and uris/any(u:u eq 'API://b')"));
  EXPECT_FALSE(*holds("uris/any(u:u eq 'api://c')"));
  EXPECT_FALSE(holds("uris eq 'api://a'"));
  EXPECT_FALSE(holds("name/any(u:u eq 'w')"));
  EXPECT_FALSE(holds("unknown eq 'x'"));
}

}  // namespace
}  // namespace merlon::identity
