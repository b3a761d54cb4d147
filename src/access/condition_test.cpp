// Conditions: every operator, three-valued logic, and texts that are no conditions.
#include "access/condition.h"

#include <gtest/gtest.h>

#include "base/time_text.h"

namespace merlon::access {
namespace {

const char* const kRole = "b24988ac-6180-42a0-ab88-20f7382dd24c";

class ConditionTest : public testing::Test {
 protected:
  ConditionTest() {
    attributes_.set("@Resource[name]", "abcd");
    attributes_.set("@Resource[size]", "15");
    attributes_.set("@Resource[colours]", std::vector<std::string>{"red", "blue"});
    attributes_.set("@Resource[numbers]", std::vector<std::string>{"10", "20"});
    attributes_.set("@Resource[none]", std::vector<std::string>{});
    attributes_.set("@Request[role]", kRole);
    attributes_.set("@Environment[isPrivateLink]", "true");
    attributes_.set("@Resource[tags:Project<$key_case_sensitive$>]", "Cascade");
  }

  Truth evaluate(const std::string& text, const std::string& action = "a.b/c/read") {
    const auto condition = Condition::parse(text);
    EXPECT_TRUE(condition) << text << ": " << (condition ? "" : condition.error().message);
    if (!condition) return Truth::unknown;
    return condition->evaluate({action, attributes_, *from_rfc3339("2026-11-22T18:00:00Z")});
  }
  void expect(Truth truth, std::initializer_list<const char*> texts) {
    for (const char* text : texts) EXPECT_EQ(evaluate(text), truth) << text;
  }

  Attributes attributes_;
};

TEST_F(ConditionTest, OperatorsThatHold) {
  expect(Truth::yes, {"@Resource[name] StringEquals 'abcd'",
                      "@Resource[name] StringEqualsIgnoreCase 'ABCD'",
                      "@Resource[name] StringNotEquals 'ABCD'",
                      "@Resource[name] StringNotEqualsIgnoreCase 'x'",
                      "@Resource[name] StringStartsWith 'ab'",
                      "@Resource[name] StringStartsWithIgnoreCase 'AB'",
                      "@Resource[name] StringNotStartsWith 'AB'",
                      "@Resource[name] StringNotStartsWithIgnoreCase 'b'",
                      "@Resource[name] StringLike 'a*c?'",
                      "@Resource[name] StringLikeIgnoreCase 'A*'",
                      "@Resource[name] StringNotLike 'A*C?'",
                      "@Resource[name] StringNotLikeIgnoreCase 'b*'",
                      "@Resource[size] NumericEquals 15",
                      "@Resource[size] NumericNotEquals 16",
                      "@Resource[size] NumericLessThan 16",
                      "@Resource[size] NumericLessThanEquals 15",
                      "@Resource[size] NumericGreaterThan -3",
                      "@Resource[size] NumericGreaterThanEquals 15",
                      "@Environment[UtcNow] DateTimeGreaterThan '2026-11-22T17:59:59.0Z'",
                      "@Environment[UtcNow] DateTimeLessThanEquals '2026-11-22T19:00:00+01:00'",
                      "@Environment[utcnow] DateTimeEquals '2026-11-22T18:00:00Z'",
                      "@Request[role] GuidEquals B24988AC-6180-42A0-AB88-20F7382DD24C",
                      "@Request[role] GuidEquals b24988ac618042a0ab8820f7382dd24c",
                      "@Request[role] GuidNotEquals 'acdd72a7-3385-48ef-bd42-f606fba81ae7'",
                      "@Environment[isPrivateLink] BoolEquals true",
                      "@environment[IsPrivateLink] boolnotequals FALSE",
                      "@Resource[Tags:Project<$key_case_sensitive$>] StringEquals 'Cascade'",
                      "Exists @Resource[name]",
                      "NOT Exists @Resource[none]",
                      "'it\\'s' StringEquals 'it\\'s'",
                      "{'a'} StringEquals @Resource[first] OR @Resource[name] StringEquals @Resource[name]"});
}

TEST_F(ConditionTest, OperatorsThatDoNotHold) {
  expect(Truth::no, {"@Resource[name] StringEquals 'ABCD'", "@Resource[name] StringLike 'a*c'",
                     "@Resource[size] NumericLessThan 15",
                     "@Environment[UtcNow] DateTimeGreaterThan '2027-01-01T00:00:00Z'",
                     "@Request[role] GuidEquals acdd72a7-3385-48ef-bd42-f606fba81ae7",
                     "@Environment[isPrivateLink] BoolEquals false", "Exists @Resource[none]",
                     "!Exists @Resource[name]"});
}

// conditions-format.md, "Operator examples".
TEST_F(ConditionTest, Quantifiers) {
  expect(Truth::yes,
         {"{'red', 'blue'} ForAnyOfAnyValues:StringEquals {'blue', 'green'}",
          "@Resource[colours] ForAllOfAnyValues:StringEquals {'orange', 'red', 'blue'}",
          "{10, 20} ForAnyOfAllValues:NumericLessThan {15, 18}",
          "@Resource[numbers] ForAllOfAllValues:NumericLessThan {25, 30}",
          "@Request[role] ForAnyOfAllValues:GuidNotEquals {acdd72a7-3385-48ef-bd42-f606fba81ae7}"});
  expect(Truth::no, {"{'red', 'blue'} ForAnyOfAnyValues:StringEquals {'orange', 'green'}",
                     "@Resource[colours] ForAllOfAnyValues:StringEquals {'red', 'green'}",
                     "{10, 20} ForAllOfAllValues:NumericLessThan {5, 15, 18}",
                     "{10, 20} ForAllOfAllValues:NumericLessThan {15, 25, 30}"});
}

TEST_F(ConditionTest, IgnoranceNeverBecomesCertainty) {
  expect(Truth::unknown,
         {"@Resource[other] StringEquals 'x'", "!(@Resource[other] StringEquals 'x')",
          "@Resource[other] StringNotEquals 'x'", "NOT Exists @Resource[other]", "Exists @Resource[other]",
          "@Resource[none] StringNotEquals 'x'", "@Resource[none] ForAllOfAnyValues:StringEquals {'x'}",
          "@Resource[colours] StringEquals 'red'", "@Resource[name] NumericNotEquals 3",
          "@Resource[name] GuidNotEquals b24988ac-6180-42a0-ab88-20f7382dd24c",
          "@Resource[tags:project<$key_case_sensitive$>] StringNotEquals 'x'",
          "SubOperationMatches{'Blob.List'}", "NOT SubOperationMatches{'Blob.List'}",
          "@Resource[HasObotoken] boolequals true",
          "@Resource[other] StringEquals 'x' AND @Resource[name] StringEquals 'abcd'",
          "@Resource[other] StringEquals 'x' OR @Resource[name] StringEquals 'no'"});
  expect(Truth::no, {"@Resource[other] StringEquals 'x' AND @Resource[name] StringEquals 'no'"});
  expect(Truth::yes, {"@Resource[other] StringEquals 'x' || @Resource[name] StringEquals 'abcd'"});
}

TEST_F(ConditionTest, ActionsAndSubOperations) {
  EXPECT_EQ(evaluate("ActionMatches{'A.B/*'}", "a.b/c/read"), Truth::yes);
  EXPECT_EQ(evaluate("ActionMatches{'a.b/d/*', 'a.b/c/read'}", "a.b/c/read"), Truth::yes);
  EXPECT_EQ(evaluate("!(ActionMatches{'a.b/*'})", "a.b/c/read"), Truth::no);
  const std::string with = "!(ActionMatches{'a.b/c/read'} AND NOT SubOperationMatches{'Blob.List'})";
  EXPECT_EQ(evaluate(with), Truth::unknown);
  EXPECT_EQ(evaluate(with, "a.b/c/write"), Truth::yes);
  attributes_.set("@Request[subOperation]", "blob.list");
  EXPECT_EQ(evaluate(with), Truth::yes);
  attributes_.set("@Request[subOperation]", std::vector<std::string>{});
  EXPECT_EQ(evaluate(with), Truth::no);
}

TEST_F(ConditionTest, DelegationAsAzureWritesIt) {
  const std::string text =
      "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR\n "
      "(@Request[Microsoft.Authorization/"
      "roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals{b24988ac-6180-42a0-ab88-20f7382dd24c} "
      "AND "
      "@Request[Microsoft.Authorization/roleAssignments:PrincipalType] StringEqualsIgnoreCase "
      "'ServicePrincipal'))";
  const std::string write = "microsoft.authorization/roleassignments/write";
  EXPECT_EQ(evaluate(text, "microsoft.compute/disks/read"), Truth::yes);
  EXPECT_EQ(evaluate(text, write), Truth::unknown);
  attributes_.set("@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId]", kRole);
  attributes_.set("@Request[microsoft.authorization/roleassignments:principaltype]", "User");
  EXPECT_EQ(evaluate(text, write), Truth::no);
  attributes_.set("@Request[microsoft.authorization/roleassignments:principaltype]", "ServicePrincipal");
  EXPECT_EQ(evaluate(text, write), Truth::yes);
}

TEST(ConditionParser, RefusesWhatIsNoCondition) {
  const std::string a = "Exists @Resource[a]";
  for (const std::string& text : {std::string(),
                                  std::string("   "),
                                  std::string("true"),
                                  std::string("("),
                                  "(" + a,
                                  a + ")",
                                  a + " " + a,
                                  a + " AND",
                                  "AND " + a,
                                  a + " AND " + a + " OR " + a,
                                  std::string("@Nothing[a] StringEquals 'x'"),
                                  std::string("@Resource[a StringEquals"),
                                  std::string("@Resource[] StringEquals 'x'"),
                                  std::string("@Resource[a] StringEquals 'x"),
                                  std::string("@Resource[a] StringEqual 'x'"),
                                  std::string("@Resource[a] StringEquals"),
                                  std::string("@Resource[a] StringEquals {}"),
                                  std::string("@Resource[a] StringEquals {'a','b'}"),
                                  std::string("@Resource[a] StringEquals {'a',}"),
                                  std::string("@Resource[a] GuidEquals 'x'"),
                                  std::string("@Resource[a] NumericEquals 1.5"),
                                  std::string("@Resource[a] NumericEquals 99999999999999999999"),
                                  std::string("@Resource[a] DateTimeEquals '2026-02-30T00:00:00Z'"),
                                  std::string("@Resource[a] BoolEquals maybe"),
                                  std::string("@Resource[a] NumericLike 1"),
                                  std::string("@Resource[a] StringLessThan 'a'"),
                                  std::string("@Resource[a] NumericNotLessThan 1"),
                                  std::string("@Resource[a] GuidEqualsIgnoreCase 1"),
                                  std::string("ActionMatches"),
                                  std::string("ActionMatches{}"),
                                  std::string("ActionMatches{''}"),
                                  std::string("ActionMatches('a')"),
                                  std::string("Exists 'a'"),
                                  std::string("; DROP"),
                                  std::string("& " + a),
                                  std::string("@Resource[a] StringEquals '\xff'")}) {
    const auto parsed = Condition::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "InvalidConditionFormat");
    EXPECT_EQ(parsed.error().kind, ErrorKind::invalid);
  }
}

TEST(ConditionParser, DepthAndLengthAreBounded) {
  const std::string a = "Exists @Resource[a]";
  EXPECT_TRUE(Condition::parse(std::string(50, '(') + a + std::string(50, ')')));
  EXPECT_FALSE(Condition::parse(std::string(3000, '(') + a + std::string(3000, ')')));
  EXPECT_FALSE(Condition::parse(std::string(3000, '!') + a));
  EXPECT_FALSE(Condition::parse(a + std::string(kConditionBytesMax, ' ')));
}

TEST(ConditionParser, WhatWouldTakeLongToDecideIsRefused) {
  const auto set_of = [](size_t count) {
    std::string text = "{'a'";
    for (size_t i = 1; i < count; ++i) text += ",'a'";
    return text + "}";
  };
  const std::string relation = " ForAllOfAllValues:StringEquals ";
  EXPECT_TRUE(Condition::parse("@Resource[a]" + relation + set_of(1000)));
  EXPECT_TRUE(Condition::parse(set_of(50) + relation + set_of(50)));
  EXPECT_FALSE(Condition::parse(set_of(1000) + relation + set_of(1000)));
  // A bomb of stars within the length of a condition, on a text as long.
  std::string stars;
  while (stars.size() < 4000) stars += "*a";
  const auto bomb = Condition::parse("@Resource[x] StringLike '" + stars + "b'");
  ASSERT_TRUE(bomb);
  Attributes attributes;
  attributes.set("@Resource[x]", std::string(4000, 'a'));
  EXPECT_EQ(bomb->evaluate({"a/b/read", attributes, {}}), Truth::no);
}

// Names and values in any script; a letter is a letter to "?".
TEST(ConditionParser, UnicodeIsText) {
  const auto parsed =
      Condition::parse("@Resource[Größe] StringLike 'gr?ß*' AND @Resource[名] StringEquals '値'");
  ASSERT_TRUE(parsed) << parsed.error().message;
  Attributes attributes;
  attributes.set("@Resource[Größe]", "größer");
  attributes.set("@Resource[名]", "値");
  EXPECT_EQ(parsed->evaluate({"a/b/read", attributes, {}}), Truth::yes);
}

TEST(ConditionParser, ErrorsSayWhere) {
  const auto parsed = Condition::parse("@Resource[a] StringEquls 'x'");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("character 14"), std::string::npos) << parsed.error().message;
}

}  // namespace
}  // namespace merlon::access
