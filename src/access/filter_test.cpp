// $filter: every clause, and everything else refused.
#include "access/filter.h"

#include <gtest/gtest.h>

namespace merlon::access {
namespace {

const std::string kId = "aaaaaaaa-0000-0000-0000-000000000001";

TEST(Filter, Clauses) {
  EXPECT_FALSE(parse_filter("", Listed::role_assignments)->at_scope);
  EXPECT_TRUE(parse_filter(" atScope( ) ", Listed::role_assignments)->at_scope);
  EXPECT_TRUE(parse_filter("ATSCOPEANDBELOW()", Listed::role_definitions)->at_scope_and_below);
  EXPECT_EQ(parse_filter("principalId eq '" + kId + "'", Listed::role_assignments)->principal_id->text(),
            kId);
  EXPECT_EQ(parse_filter("roleName eq 'Bob''s role'", Listed::role_definitions)->role_name, "Bob's role");
  EXPECT_EQ(parse_filter("type eq 'builtinrole'", Listed::role_definitions)->role_type, "BuiltInRole");
  EXPECT_EQ(parse_filter("denyAssignmentName eq 'x'", Listed::deny_assignments)->denial_name, "x");
  const auto both = parse_filter("atScope() and assignedTo('" + kId + "')", Listed::role_assignments);
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->at_scope);
  EXPECT_EQ(both->assigned_to->text(), kId);
}

TEST(Filter, AnythingElseIsAnError) {
  for (const std::string& text : {std::string("atScope"),
                                  std::string("atScope("),
                                  std::string("atScope() or atScope()"),
                                  std::string("atScope() and"),
                                  std::string("and atScope()"),
                                  std::string("not atScope()"),
                                  std::string("atScope() atScope()"),
                                  std::string("atScope() and atScopeAndBelow()"),
                                  std::string("principalId eq 'x'"),
                                  "principalId ne '" + kId + "'",
                                  "principalId eq " + kId,
                                  "principalId eq '" + kId,
                                  "principalId eq '" + kId + "' and principalId eq '" + kId + "'",
                                  std::string("assignedTo()"),
                                  "assignedTo('" + kId + "'",
                                  std::string("roleName eq 'Owner'"),
                                  std::string("scope eq '/'"),
                                  std::string("denyAssignmentName eq 'x'"),
                                  std::string("(atScope())"),
                                  std::string("\xff"),
                                  std::string(3000, 'a'),
                                  std::string("'")}) {
    const auto filter = parse_filter(text, Listed::role_assignments);
    ASSERT_FALSE(filter) << text;
    EXPECT_EQ(filter.error().code, "InvalidFilter");
    EXPECT_EQ(filter.error().kind, ErrorKind::invalid);
  }
  for (const char* text : {"type eq 'Other'", "type eq BuiltInRole", "principalId eq 'x'",
                           "roleName eq 'a' and roleName eq 'b'"})
    EXPECT_FALSE(parse_filter(text, Listed::role_definitions)) << text;
}

}  // namespace
}  // namespace merlon::access
