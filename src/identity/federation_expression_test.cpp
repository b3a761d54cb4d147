// The expression language: what it admits, what is refused, and whom the warnings find.
#include "identity/federation_expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace merlon::identity {
namespace {

ClaimsExpression parsed(std::string_view text) {
  auto expression = ClaimsExpression::parse(text);
  EXPECT_TRUE(expression) << text << ": " << (expression ? "" : expression.error().message);
  return expression ? *std::move(expression) : ClaimsExpression();
}

bool admits(std::string_view text, const std::string& subject) {
  return parsed(text).admits({{"sub", subject}});
}

std::vector<std::string> codes(std::string_view text) {
  std::vector<std::string> found;
  for (const ExpressionWarning& warning : warnings_of(parsed(text))) found.push_back(warning.code);
  return found;
}

std::vector<std::string> codes_of_subject(const std::string& pattern) {
  return codes("claims['sub'] matches '" + pattern + "'");
}

TEST(FederationExpressionTest, EqComparesToTheLastCharacter) {
  const std::string_view text = "claims['sub'] eq 'repo:a/b:*'";
  EXPECT_TRUE(admits(text, "repo:a/b:*"));
  for (const std::string other : {"repo:a/b:x", "repo:a/b:* ", "Repo:a/b:*", "", "repo:a/b:"})
    EXPECT_FALSE(admits(text, other)) << other;
}

TEST(FederationExpressionTest, Wildcards) {
  const std::string_view main = "claims['sub'] matches 'repo:org/*:ref:refs/heads/*'";
  EXPECT_TRUE(admits(main, "repo:org/cart:ref:refs/heads/main"));
  EXPECT_TRUE(admits(main, "repo:org/cart:ref:refs/heads/feature/x"));
  EXPECT_TRUE(admits(main, "repo:org/:ref:refs/heads/")) << "* is also nothing";
  for (const std::string other :
       {"repo:organ/cart:ref:refs/heads/main", "repo:evil/org/cart:ref:refs/heads/main",
        "xrepo:org/cart:ref:refs/heads/main", "repo:Org/cart:ref:refs/heads/main",
        "repo:org/cart:ref:refs/tags/v1", "repo:org/cart:pull_request", "", "*"})
    EXPECT_FALSE(admits(main, other)) << other;
  EXPECT_TRUE(fits_pattern("abc", "a?c"));
  EXPECT_FALSE(fits_pattern("ac", "a?c"));
  EXPECT_TRUE(fits_pattern("a\u00e9c", "a?c")) << "a character, not a byte";
  EXPECT_TRUE(fits_pattern("", "*"));
  EXPECT_TRUE(fits_pattern("", "***"));
  EXPECT_FALSE(fits_pattern("", "?"));
  EXPECT_TRUE(fits_pattern("aXbXc", "*X?X*"));
  EXPECT_TRUE(fits_pattern("mississippi", "m*iss*pi"));
  EXPECT_FALSE(fits_pattern("mississippi", "m*iss*z*"));
  EXPECT_FALSE(fits_pattern(std::string(2049, 'a'), "*"));
  // The worst case of this search ends at once.
  EXPECT_FALSE(fits_pattern(std::string(2048, 'a'), [] {
    std::string stars;
    for (int i = 0; i < 299; ++i) stars += "*a";
    return stars + "b";
  }()));
}

TEST(FederationExpressionTest, EveryConditionMustHold) {
  const ClaimsExpression both = parsed(
      "claims['sub'] matches 'repo:a/*' and claims['job_workflow_ref'] matches 'a/flows/*@refs/heads/main' "
      "and claims['https://x.example/y.z'] eq '1'");
  const JsonObject good{{"sub", "repo:a/b"},
                        {"job_workflow_ref", "a/flows/x.yml@refs/heads/main"},
                        {"https://x.example/y.z", "1"}};
  EXPECT_TRUE(both.admits(good));
  for (const auto& [name, value] : good) {
    JsonObject less = good;
    less.erase(name);
    EXPECT_FALSE(both.admits(less)) << std::string(name);
    for (const Json& other : {Json(1), Json(nullptr), Json(JsonArray{value}), Json("other"), Json(true)}) {
      less[name] = other;
      EXPECT_FALSE(both.admits(less)) << std::string(name);
    }
  }
  EXPECT_FALSE(ClaimsExpression().admits(good)) << "no condition admits nobody";
}

TEST(FederationExpressionTest, WhatIsNotUnderstoodIsRefused) {
  for (const std::string text : {"",
                                 " ",
                                 "claims",
                                 "claims['sub']",
                                 "claims['sub'] eq",
                                 "claims['sub'] eq x",
                                 "claims['sub'] eq 'x",
                                 "claims['sub'] eq ''",
                                 "claims[''] eq 'x'",
                                 "claims[\"sub\"] eq 'x'",
                                 "claims['sub'] Eq 'x'",
                                 "claims['sub'] ne 'x'",
                                 "claims['sub']eq 'x'",
                                 "claims['sub'] eq'x'",
                                 "claims['sub'] eq 'x' or claims['a'] eq 'b'",
                                 "claims['sub'] eq 'x' and",
                                 "claims['sub'] eq 'x' and ",
                                 "and claims['sub'] eq 'x'",
                                 "claims['sub'] eq 'x'and claims['a'] eq 'b'",
                                 "not claims['sub'] eq 'x'",
                                 "(claims['sub'] eq 'x')",
                                 "claims['sub'] eq 'it''s'",
                                 R"(claims['sub'] eq 'it\'s')",
                                 R"(claims['sub'] matches 'a\*')",
                                 "claims['sub'] eq 'x\n'",
                                 "claims['sub'] eq 'x' claims['a'] eq 'b'",
                                 "claims['sub'] eq 'x';",
                                 "claims['sub'] eq '\xff'",
                                 "CLAIMS['sub'] eq 'x'",
                                 "claims ['sub'] eq 'x'"})
    EXPECT_FALSE(ClaimsExpression::parse(text)) << text;
  EXPECT_FALSE(ClaimsExpression::parse("claims['sub'] eq '" + std::string(601, 'x') + "'"));
  std::string many = "claims['a'] eq 'b'";
  for (int i = 0; i < 15; ++i) many += " and claims['a'] eq 'b'";
  EXPECT_TRUE(ClaimsExpression::parse(many));
  EXPECT_FALSE(ClaimsExpression::parse(many + " and claims['a'] eq 'b'"));
  EXPECT_TRUE(ClaimsExpression::parse("  claims['sub']  eq  'x'  and  claims['a'] eq 'b' "));
}

TEST(FederationExpressionTest, WarnsOfAnothersRepository) {
  using ::testing::Contains;
  using ::testing::IsEmpty;
  for (const std::string pattern :
       {"repo:org*:ref:refs/heads/main", "repo:*/cart:ref:refs/heads/main",
        "repo:o?g/cart:ref:refs/heads/main", "repo:org*", "repo:*", "repo*", "r*",
        "project_path:gr*/cart:ref_type:branch:ref:main",
        "organization:shop*:project:x:workspace:y:run_phase:apply", "system:serviceaccount:shop*",
        "system:serviceaccount:*:cart", "https://ci.example/shop*"}) {
    EXPECT_THAT(codes_of_subject(pattern), Contains("AnotherOwnerAdmitted")) << pattern;
    for (const ExpressionWarning& warning : warnings_of(parsed("claims['sub'] matches '" + pattern + "'")))
      EXPECT_TRUE(fits_pattern(warning.example, pattern)) << warning.example << " " << pattern;
  }
  EXPECT_THAT(codes_of_subject("*"), Contains("AnySubjectAdmitted"));
  EXPECT_THAT(codes_of_subject("*?"), Contains("AnySubjectAdmitted"));
  for (const std::string pattern :
       {"repo:org/*:ref:refs/heads/main", "repo:org/cart:ref:refs/heads/*", "repo:org/cart:environment:prod",
        "project_path:group/*:ref_type:branch:ref:main", "organization:shop:project:*",
        "system:serviceaccount:shop:*", "https://ci.example/shop/*"})
    EXPECT_THAT(codes_of_subject(pattern), IsEmpty()) << pattern;
  EXPECT_THAT(
      codes("claims['sub'] matches 'repo:*:ref:refs/heads/main' and claims['sub'] matches 'repo:org/*'"),
      IsEmpty())
      << "the second condition fixes the organization";
  EXPECT_THAT(
      codes("claims['sub'] matches 'repo:*:ref:refs/heads/main' and claims['repository_owner'] eq 'org'"),
      IsEmpty());
  EXPECT_THAT(
      codes("claims['sub'] matches 'repo:*:ref:refs/heads/main' and claims['repository_owner'] matches 'o*'"),
      Contains("AnotherOwnerAdmitted"));
}

TEST(FederationExpressionTest, OtherWarnings) {
  using ::testing::Contains;
  using ::testing::ElementsAre;
  EXPECT_THAT(codes("claims['job_workflow_ref'] matches 'org/flows/*'"), ElementsAre("NoSubjectCondition"));
  EXPECT_THAT(codes("claims['sub'] eq 'repo:org/*'"), ElementsAre("WildcardIsCompared"));
  EXPECT_THAT(codes_of_subject("repo:org/cart:*"), ElementsAre("PullRequestsAdmitted"));
  EXPECT_THAT(codes_of_subject("repo:org/*"), ElementsAre("PullRequestsAdmitted"));
  EXPECT_THAT(codes_of_subject("repo:org*"), Contains("AnotherOwnerAdmitted"));
  EXPECT_THAT(codes("claims['sub'] eq 'repo:org/cart:pull_request'"), ElementsAre());
}

}  // namespace
}  // namespace merlon::identity
