// Wildcards of actions and of Like.
#include "access/pattern.h"

#include <gtest/gtest.h>

#include "access/access.h"

namespace merlon::access {
namespace {

struct Row {
  const char* pattern;
  const char* action;
  bool matches;
};

TEST(ActionPattern, Table) {
  const Row rows[] = {
      {"*", "Microsoft.Compute/virtualMachines/read", true},
      {"*/read", "Microsoft.Compute/virtualMachines/read", true},
      {"*/read", "Microsoft.Compute/virtualMachines/extensions/read", true},
      {"*/read", "Microsoft.Compute/virtualMachines/write", false},
      {"*/read", "Microsoft.Compute/virtualMachines/read/action", false},
      {"*/read", "read", false},
      {"Microsoft.Authorization/*/Write", "microsoft.authorization/roleassignments/write", true},
      {"Microsoft.Authorization/*/Write", "Microsoft.Authorization/write", false},
      {"Microsoft.Authorization/*/Write", "Microsoft.Authorization/a/b/c/write", true},
      {"Microsoft.Authorization/*", "Microsoft.Authorization/elevateAccess/action", true},
      {"Microsoft.Authorization/*", "Microsoft.AuthorizationX/read", false},
      {"Microsoft.Compute/virtualMachines/read", "MICROSOFT.COMPUTE/VIRTUALMACHINES/READ", true},
      {"Microsoft.Compute/virtualMachines/read", "Microsoft.Compute/virtualMachines/reads", false},
      {"Microsoft.Compute/virtualMachines/read", "xMicrosoft.Compute/virtualMachines/read", false},
      {"ab*ba", "aba", false},  // the two halves must not overlap
      {"ab*ba", "abba", true},
      {"*a*b*", "xxaxxbxx", true},
      {"*a*b*", "xxbxxaxx", false},
      {"a*b*c", "abbbbbc", true},
      {"a*b*c", "abbbbb", false},
      {"a**b", "ab", true},
      {"", "", true},
      {"", "a", false},
      {"a.c", "abc", false},
  };
  for (const Row& row : rows)
    EXPECT_EQ(action_matches(row.pattern, row.action), row.matches) << row.pattern << " on " << row.action;
}

TEST(ActionPattern, ManyStarsStayCheap) {
  std::string pattern;
  for (int i = 0; i < 250; ++i) pattern += "*a";
  EXPECT_FALSE(action_matches(pattern + "*b", std::string(500, 'a')));
}

TEST(Like, Table) {
  // The examples of conditions-format.md, "Operator examples", and their neighbours.
  EXPECT_TRUE(like_matches("a*c?", "abcd", false));
  EXPECT_FALSE(like_matches("A*C?", "abcd", false));
  EXPECT_TRUE(like_matches("A*C?", "abcd", true));
  EXPECT_FALSE(like_matches("a*c", "abcd", false));
  EXPECT_TRUE(like_matches("logs/*", "logs/a/b", false));
  EXPECT_TRUE(like_matches("a\\*b", "a*b", false));
  EXPECT_FALSE(like_matches("a\\*b", "axb", false));
  EXPECT_TRUE(like_matches("a\\?", "a?", false));
  EXPECT_FALSE(like_matches("a\\?", "ab", false));
  EXPECT_TRUE(like_matches("a\\\\b", "a\\b", false));
  EXPECT_TRUE(like_matches("caf?", "café", false));
  EXPECT_FALSE(like_matches("?", "", false));
  EXPECT_TRUE(like_matches("**", "", false));
}

}  // namespace
}  // namespace merlon::access
