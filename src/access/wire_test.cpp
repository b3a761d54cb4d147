// Microsoft.Authorization's JSON, and its lists over a real store.
#include "access/wire.h"

#include <gmock/gmock.h>

#include "access/access_fixture.h"

namespace merlon::access {
namespace {

using testing::SizeIs;

const char* const kName = "cccccccc-0000-0000-0000-000000000001";
const std::string kBody =
    R"({"properties":{"roleDefinitionId":"/subscriptions/x/providers/microsoft.authorization/roleDefinitions/ACDD72A7-3385-48ef-bd42-f606fba81ae7",
        "principalId":"aaaaaaaa-0000-0000-0000-000000000001","principalType":"user","condition":null,"scope":"/ignored","extra":1}})";

std::string code_of(const std::string& body) {
  const auto read = role_assignment_from_wire(kGroup, kName, *parse_json_object(body));
  return read ? "" : read.error().code;
}

TEST(Wire, AssignmentIn) {
  const auto read = role_assignment_from_wire(kGroup, kName, *parse_json_object(kBody));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->scope, kGroup);
  EXPECT_EQ(read->id.text(), kName);
  EXPECT_EQ(read->role_definition_id, kReader);
  EXPECT_EQ(read->principal_type, "User");
  EXPECT_TRUE(read->condition.empty());
}

TEST(Wire, AssignmentsThatAreRefused) {
  EXPECT_EQ(code_of("{}"), "InvalidRequestContent");
  EXPECT_EQ(code_of(R"({"properties":[]})"), "InvalidRequestContent");
  EXPECT_EQ(code_of(R"({"properties":{"principalId":"aaaaaaaa-0000-0000-0000-000000000001"}})"),
            "InvalidRequestContent");
  const std::string role =
      R"("roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7")";
  EXPECT_EQ(code_of("{\"properties\":{" + role + "}}"), "InvalidPrincipalId");
  EXPECT_EQ(code_of("{\"properties\":{" + role + R"(,"principalId":7}})"), "InvalidRequestContent");
  // A condition of another type must not be read as "no condition".
  EXPECT_EQ(code_of("{\"properties\":{" + role +
                    R"(,"principalId":"aaaaaaaa-0000-0000-0000-000000000001","condition":["x"]}})"),
            "InvalidRequestContent");
  EXPECT_EQ(role_assignment_from_wire(kGroup, "x", *parse_json_object(kBody)).error().code,
            "InvalidRoleAssignmentId");
  EXPECT_EQ(role_assignment_from_wire("/x", kName, *parse_json_object(kBody)).error().code, "InvalidScope");
}

TEST(Wire, RoleIds) {
  EXPECT_EQ(role_id_of("/providers/Microsoft.Authorization/roleDefinitions/" + kOwner.text()), kOwner);
  EXPECT_FALSE(role_id_of(kOwner.text()));
  EXPECT_FALSE(role_id_of("/providers/Microsoft.Authorization/roleAssignments/" + kOwner.text()));
  EXPECT_FALSE(role_id_of("/providers/Microsoft.Authorization/roleDefinitions/x"));
  EXPECT_EQ(role_definition_id(kVm, kOwner),
            kSubscription + "/providers/Microsoft.Authorization/roleDefinitions/" + kOwner.text());
  EXPECT_EQ(role_definition_id("/", kOwner),
            "/providers/Microsoft.Authorization/roleDefinitions/" + kOwner.text());
}

TEST(Wire, AssignmentOut) {
  RoleAssignment assignment = *role_assignment_from_wire("/", kName, *parse_json_object(kBody));
  const JsonObject json = role_assignment_json(assignment);
  EXPECT_EQ(string_at(json, "id"),
            std::string("/providers/Microsoft.Authorization/roleAssignments/") + kName);
  EXPECT_EQ(string_at(json, "type"), "Microsoft.Authorization/roleAssignments");
  EXPECT_EQ(string_at(json, "properties.scope"), "/");
  EXPECT_EQ(string_at(json, "properties.principalType"), "User");
  EXPECT_TRUE(find(json, "properties.condition")->is_null());
}

TEST(Wire, RolesBothWays) {
  const std::string body =
      R"({"properties":{"roleName":"R","description":"d","type":"CustomRole","assignableScopes":["/subscriptions/s"],
          "permissions":[{"actions":["a/b"],"notActions":[],"dataActions":["c/d"],"condition":"Exists @Resource[a]"}]}})";
  const auto role = role_definition_from_wire(kName, *parse_json_object(body));
  ASSERT_TRUE(role) << role.error().message;
  const JsonObject json = role_definition_json(*role, "/subscriptions/s");
  EXPECT_EQ(string_at(json, "properties.type"), "CustomRole");
  EXPECT_EQ(string_at(json, "properties.roleName"), "R");
  const JsonObject& permission = array_at(json, "properties.permissions")->at(0).get_object();
  EXPECT_EQ(array_at(permission, "dataActions")->at(0), "c/d");
  EXPECT_EQ(string_at(permission, "conditionVersion"), "2.0");
  for (const char* bad : {R"({"properties":{"roleName":"R"}})", R"({"properties":{"permissions":[1]}})",
                          R"({"properties":{"permissions":[{"actions":"a"}]}})",
                          R"({"properties":{"permissions":[{"actions":[1]}]}})",
                          R"({"properties":{"type":"BuiltInRole","permissions":[]}})"})
    EXPECT_EQ(role_definition_from_wire(kName, *parse_json_object(bad)).error().code, "InvalidRequestContent")
        << bad;
  std::string many = R"({"actions":["a/b"]})";
  for (int i = 0; i < 64; ++i) many += ",{}";
  EXPECT_EQ(
      role_definition_from_wire(kName, *parse_json_object(R"({"properties":{"permissions":[)" + many + "]}}"))
          .error()
          .code,
      "InvalidRoleDefinition");
  EXPECT_EQ(role_definition_from_wire("x", *parse_json_object(body)).error().code, "InvalidRoleDefinitionId");
}

class WireListTest : public AccessFixture {
 protected:
  size_t count(const std::string& scope, const std::string& filter) {
    return read<std::vector<RoleAssignment>>([&](auto& reader) -> Result<std::vector<RoleAssignment>> {
             return list_role_assignments(access_, reader, scope,
                                          TRY(parse_filter(filter, Listed::role_assignments)));
           })
        .size();
  }
  std::vector<RoleDefinition> roles(const std::string& scope, const std::string& filter) {
    return read<std::vector<RoleDefinition>>([&](auto& reader) -> Result<std::vector<RoleDefinition>> {
      return list_role_definitions(access_, reader, scope,
                                   TRY(parse_filter(filter, Listed::role_definitions)));
    });
  }
};

TEST_F(WireListTest, Assignments) {
  const Uuid ada = new_user("ada");
  const Uuid team = new_group("team");
  join(team, ada);
  assign(ada, kReader, kSubscription);
  assign(team, kContributor, kGroup);
  assign(ada, kOwner, kVm);
  assign(ada, kReader, kSubscription + "/resourceGroups/other");
  EXPECT_EQ(count(kGroup, ""), 3U);
  EXPECT_EQ(count(kGroup, "atScope()"), 2U);
  EXPECT_EQ(count(kGroup, "atScopeAndBelow()"), 2U);
  EXPECT_EQ(count(kGroup, "principalId eq '" + ada.text() + "'"), 2U);
  EXPECT_EQ(count(kGroup, "assignedTo('" + ada.text() + "')"), 3U);
  EXPECT_EQ(count(kGroup, "atScope() and assignedTo('" + ada.text() + "')"), 2U);
  EXPECT_EQ(count(kGroup, "assignedTo('" + ada.text() + "') and principalId eq '" + team.text() + "'"), 1U);
  EXPECT_EQ(count(kGroup, "assignedTo('" + team.text() + "') and principalId eq '" + ada.text() + "'"), 0U);
}

TEST_F(WireListTest, Definitions) {
  RoleDefinition role;
  role.id = uuid(kName);
  role.name = "Mine";
  role.permissions.resize(1);
  role.permissions[0].actions = {"*/read"};
  role.assignable_scopes = {kGroup};
  wrote<RoleDefinition>([&](auto& tx) { return access_.put_role(tx, role); });
  EXPECT_THAT(roles(kGroup, "type eq 'CustomRole'"), SizeIs(1));
  EXPECT_THAT(roles(kVm, "type eq 'CustomRole'"), SizeIs(1));
  EXPECT_THAT(roles(kSubscription, "type eq 'CustomRole'"), SizeIs(0));
  EXPECT_THAT(roles(kSubscription, "atScopeAndBelow() and type eq 'CustomRole'"), SizeIs(1));
  EXPECT_THAT(roles(kSubscription, "type eq 'BuiltInRole'"), SizeIs(928));
  EXPECT_THAT(roles(kSubscription, "roleName eq 'contributor'"), SizeIs(1));
  EXPECT_THAT(roles(kSubscription, "roleName eq 'contributor' and type eq 'CustomRole'"), SizeIs(0));
}

TEST_F(WireListTest, DelegationThroughConditionsEndToEnd) {
  const Uuid ada = new_user("ada");
  RoleAssignment delegate = new_assignment(ada, uuid("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"), kSubscription);
  delegate.condition =
      "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
      "(@Request[Microsoft.Authorization/"
      "roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals{" +
      kReader.text() +
      "})) AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR "
      "(@Resource[Microsoft.Authorization/"
      "roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals{" +
      kReader.text() + "}))";
  ASSERT_TRUE(try_assign(delegate));
  const auto asks = [&](const std::string& verb, Side side, const Uuid& role) {
    Question question{.action = "Microsoft.Authorization/roleAssignments/" + verb, .scope = kGroup};
    question.attributes = assignment_attributes(side, new_assignment(ada, role, kGroup));
    return ask(ada, question).allowed;
  };
  EXPECT_TRUE(asks("write", Side::request, kReader));
  EXPECT_FALSE(asks("write", Side::request, kOwner));
  EXPECT_FALSE(asks("write", Side::resource, kReader));
  EXPECT_TRUE(asks("delete", Side::resource, kReader));
  EXPECT_FALSE(asks("delete", Side::resource, kOwner));
  EXPECT_TRUE(may(ada, "Microsoft.Compute/virtualMachines/read"));
}

}  // namespace
}  // namespace merlon::access
