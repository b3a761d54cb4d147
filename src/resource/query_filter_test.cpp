// The $filter forms that Azure tools send: what is read, and what is refused.
#include "resource/query_filter.h"

#include <gtest/gtest.h>

namespace merlon::resource {
namespace {

TEST(QueryFilterTest, ReadsWhatAzSends) {
  const auto terms = parse_query_filter(
      "eventTimestamp ge 2026-11-21T18:54:51.775986 and resourceGroupName EQ 'it''s'  AND atScope()");
  ASSERT_TRUE(terms.has_value());
  ASSERT_EQ(terms->size(), 3U);
  EXPECT_EQ((*terms)[0].value, "2026-11-21T18:54:51.775986");
  EXPECT_TRUE(filter_time((*terms)[0]).has_value());
  EXPECT_EQ((*terms)[1].op, "eq");
  EXPECT_EQ((*terms)[1].value, "it's");
  EXPECT_EQ((*terms)[2].op, "call");
  EXPECT_TRUE((*terms)[2].arguments.empty());
}

TEST(QueryFilterTest, ReadsFunctions) {
  const auto terms = parse_query_filter("substringof('a, b', name)");
  ASSERT_TRUE(terms.has_value());
  EXPECT_EQ((*terms)[0].arguments, (std::vector<std::string>{"a, b", "name"}));
}

TEST(QueryFilterTest, EmptyIsNoFilter) { EXPECT_TRUE(parse_query_filter("  ")->empty()); }

TEST(QueryFilterTest, RefusesTheRest) {
  for (const char* text :
       {"name", "name eq", "name eq 'x", "name is 'x'", "name eq 'x' or name eq 'y'", "f('x'", "f(,)",
        "name eq 'x' and", "'x' eq name", "(name eq 'x')", "name eq 'x'name eq 'y'"}) {
    const auto terms = parse_query_filter(text);
    ASSERT_FALSE(terms.has_value()) << text;
    EXPECT_EQ(terms.error().code, "InvalidFilterInQueryString") << text;
  }
  std::string long_filter = "a eq 1";
  for (int i = 0; i < 40; ++i) long_filter += " and a eq 1";
  EXPECT_FALSE(parse_query_filter(long_filter).has_value());
}

std::string shown(const FilterCondition& condition) {
  if (condition.kind == FilterCondition::Kind::term) return condition.term.name;
  std::string text;
  const char* joint = condition.kind == FilterCondition::Kind::all ? "&" : "|";
  for (const FilterCondition& child : condition.children) text += (text.empty() ? "" : joint) + shown(child);
  return "(" + text + ")";
}

TEST(QueryFilterTest, AndBindsMoreThanOr) {
  const auto read = [](const char* text) {
    const auto condition = parse_query_condition(text);
    return condition ? shown(*condition) : condition.error().code;
  };
  EXPECT_EQ(read(""), "()");
  EXPECT_EQ(read("a eq 1"), "a");
  EXPECT_EQ(read("a eq 1 or b eq 1 and c eq 1 OR f(x)"), "(a|(b&c)|f)");
  EXPECT_EQ(read("(a eq 1 or b eq 1) and (c eq 1)"), "((a|b)&c)");
  for (const char* text :
       {"a eq 1 or", "(a eq 1", "a eq 1)", "a eq 1 b eq 1", "()", "or", "a eq 1 xor b eq 1"})
    EXPECT_EQ(read(text), "InvalidFilterInQueryString") << text;
  EXPECT_EQ(read((std::string(9, '(') + "a eq 1" + std::string(9, ')')).c_str()),
            "InvalidFilterInQueryString");
}

}  // namespace
}  // namespace merlon::resource
