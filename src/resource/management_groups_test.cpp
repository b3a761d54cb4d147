// Management groups over HTTP: the tree, who may change it, and what it means for everything below.
#include "access/hierarchy.h"
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const std::string kGroups = "/providers/Microsoft.Management/managementGroups";
constexpr const char* kName = "aaaaaaaa-0000-4000-8000-000000000001";
constexpr const char* kAdministrator = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9";

class ManagementGroupsTest : public ResourceFixture {
 protected:
  static std::string group(const std::string& id) { return kGroups + "/" + id; }
  static std::string place(const std::string& id) { return group(id) + kSubscription; }
  static std::string under(const std::string& parent) {
    return R"({"properties":{"details":{"parent":{"id":")" + group(parent) + R"("}}}})";
  }
  void make(const std::string& id, const std::string& parent = {}) {
    const Answer made = send("PUT", group(id), parent.empty() ? "{}" : under(parent));
    ASSERT_EQ(made.status, 200) << made.text;
  }
  std::string root() { return tenant_.text(); }
};

TEST_F(ManagementGroupsTest, TheRootIsThere) {
  const Answer found = send("GET", group(root()));
  ASSERT_EQ(found.status, 200) << found.text;
  EXPECT_EQ(found.at("properties.displayName"), "Tenant Root Group");
  EXPECT_EQ(found.at("id"), group(root()));
  EXPECT_THAT(send("GET", kGroups).names(), ElementsAre(root()));
  EXPECT_EQ(send("DELETE", group(root())).code(), "BadRequest");
  make("a");
  EXPECT_EQ(send("PATCH", group(root()), R"({"parentGroupId":"a"})").code(), "BadRequest");
  const Answer renamed = send("PATCH", group(root()), R"({"displayName":"Everything"})");
  EXPECT_EQ(renamed.at("properties.displayName"), "Everything");
}

TEST_F(ManagementGroupsTest, AGroupIsMadeMovedFoundAndDeleted) {
  const Answer made =
      send("PUT", group("Corp"), R"({"name":"Corp","properties":{"displayName":"The firm"}})");
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_EQ(made.at("name"), "Corp");
  EXPECT_EQ(made.at("type"), "Microsoft.Management/managementGroups");
  EXPECT_EQ(made.at("properties.tenantId"), root());
  EXPECT_EQ(made.at("properties.details.parent.id"), group(root()));
  make("web", "corp");
  EXPECT_EQ(send("GET", group("WEB")).at("properties.details.parent.name"), "Corp");
  EXPECT_EQ(send("PUT", place("web")).at("properties.parent.id"), group("web"));
  EXPECT_EQ(send("PUT", place("web")).status, 200);
  const Answer tree = send("GET", group("corp") + "?api-version=2021-04-01&$expand=children&$recurse=true");
  const JsonArray& children = tree.body.at("properties").at("children").get_array();
  ASSERT_EQ(children.size(), 1U);
  EXPECT_EQ(string_at(children[0].get_object(), "name"), "web");
  EXPECT_EQ(string_at(children[0].at("children").get_array().at(0).get_object(), "id"), kSubscription);
  const Answer path = send("GET", group("web") + "?api-version=2021-04-01&$expand=path,ancestors");
  EXPECT_EQ(path.body.at("properties").at("details").at("path").get_array().size(), 3U);
  EXPECT_EQ(path.body.at("properties").at("details").at("managementGroupAncestors"),
            Json(JsonArray{Json("Corp"), Json(root())}));
  EXPECT_THAT(send("GET", group("corp") + "/descendants").names(),
              UnorderedElementsAre("web", kSubscription.substr(15)));
  const Answer page = send("GET", group(root()) + "/descendants?api-version=2021-04-01&$top=1");
  EXPECT_THAT(page.names(), ElementsAre("Corp"));
  EXPECT_NE(page.at("nextLink"), "");
  EXPECT_EQ(send("DELETE", group("web")).code(), "BadRequest");  // it holds the subscription
  EXPECT_EQ(send("GET", group("corp") + "/subscriptions").names().size(), 0U);
  EXPECT_EQ(send("DELETE", place("web")).status, 200);
  EXPECT_EQ(send("DELETE", place("web")).status, 204);
  EXPECT_EQ(send("PATCH", group("web"), R"({"parentGroupId":"corp"})").status, 200);
  EXPECT_EQ(send("PATCH", group("web"), R"({"parentGroupId":")" + group(root()) + R"("})")
                .at("properties.details.parent.name"),
            root());
  const Answer gone = send("DELETE", group("web"));
  ASSERT_EQ(gone.status, 202) << gone.text;
  const std::string poll = gone.headers.value_or("Azure-AsyncOperation", "").data();
  EXPECT_EQ(send("GET", poll.substr(poll.find("/providers"))).at("status"), "Succeeded");
  const Person bob = make_person("bob");
  EXPECT_EQ(send_as(bob.token, "GET", poll.substr(poll.find("/providers"))).status, 404);
  EXPECT_EQ(send("DELETE", group("web")).status, 204);
  EXPECT_EQ(send("GET", group("web")).code(), "NotFound");
}

TEST_F(ManagementGroupsTest, WhatIsNoTreeIsRefused) {
  std::string parent = root();
  for (int level = 1; level <= 6; ++level) {
    make("l" + std::to_string(level), parent);
    parent = "l" + std::to_string(level);
  }
  EXPECT_EQ(send("PUT", group("l7"), under("l6")).code(), "BadRequest");
  EXPECT_EQ(send("GET", group("l7")).code(), "NotFound");
  EXPECT_EQ(send("PATCH", group("l2"), R"({"parentGroupId":"l4"})").code(), "BadRequest");
  EXPECT_EQ(send("PATCH", group("l2"), R"({"parentGroupId":"l2"})").code(), "BadRequest");
  make("high");
  make("low", "high");
  EXPECT_EQ(send("PATCH", group("high"), R"({"parentGroupId":"l5"})").code(),
            "BadRequest");  // low would be l7
  EXPECT_EQ(send("PATCH", group("high"), R"({"parentGroupId":"l4"})").status, 200);
  EXPECT_EQ(send("PUT", group("x"), under("nowhere")).code(), "NotFound");
  EXPECT_EQ(
      send("PUT", group("x"), R"({"properties":{"details":{"parent":{"id":"/subscriptions/x"}}}})").code(),
      "BadRequest");
  for (const char* id : {"-x", "x.", "a,b"}) EXPECT_EQ(send("PUT", group(id), "{}").status, 400) << id;
  EXPECT_EQ(send("PUT", group(std::string(91, 'x')), "{}").code(), "BadRequest");
  EXPECT_EQ(send("PUT", group("x"), R"({"properties":{"displayName":" "}})").code(), "BadRequest");
  EXPECT_EQ(send("PATCH", group("none"), R"({"displayName":"x"})").code(), "NotFound");
  EXPECT_EQ(send("PUT", group("high") + "/subscriptions/aaaaaaaa-0000-4000-8000-00000000000f").code(),
            "SubscriptionNotFound");
  for (const char* query : {"$expand=color", "$recurse=true", "$expand=children&$recurse=maybe", "$filter=x"})
    EXPECT_EQ(send("GET", group("high") + "?api-version=2021-04-01&" + query).code(), "BadRequest") << query;
}

TEST_F(ManagementGroupsTest, ARoleAtAGroupReachesWhatStandsUnderIt) {
  make("corp");
  make("web", "corp");
  make_group();
  const Person ada = make_person("ada");
  const auto reads = [&] { return send_as(ada.token, "GET", kGroup).status == 200; };
  const std::string assignment =
      group("corp") + "/providers/Microsoft.Authorization/roleAssignments/" + kName;
  const std::string body = R"({"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/)"
                           R"(roleDefinitions/)" +
                           std::string(kReader) + R"(","principalId":")" + ada.id.text() + R"("}})";
  ASSERT_EQ(send("PUT", assignment, body).status, 201);
  EXPECT_EQ(send("PUT", group("none") + assignment.substr(group("corp").size()), body).code(), "NotFound");
  EXPECT_FALSE(reads());
  ASSERT_EQ(send("PUT", place("web")).status, 200);
  EXPECT_TRUE(reads());
  EXPECT_EQ(send_as(ada.token, "GET", group("web")).status, 200);
  EXPECT_EQ(send_as(ada.token, "GET", group(root())).status, 403);
  EXPECT_THAT(send_as(ada.token, "GET", kGroups).names(), UnorderedElementsAre("corp", "web"));
  const Answer entities = send_as(ada.token, "POST", "/providers/Microsoft.Management/getEntities");
  EXPECT_THAT(entities.names(), UnorderedElementsAre("corp", "web", kSubscription.substr(15)));
  // A list at the subscription shows what comes from above, one at the group what is below.
  const std::string lists = "/providers/Microsoft.Authorization/roleAssignments";
  EXPECT_THAT(send("GET", kSubscription + lists + "?api-version=2022-04-01&$filter=" +
                              net::percent_encode("assignedTo('" + ada.id.text() + "')"))
                  .names(),
              ElementsAre(kName));
  EXPECT_THAT(send("GET", group(root()) + lists).names(), testing::Contains(kName));
  ASSERT_EQ(send("PATCH", group("web"), R"({"parentGroupId":")" + root() + R"("})").status, 200);
  EXPECT_FALSE(reads());
  EXPECT_EQ(send("PATCH", group("web"), R"({"parentGroupId":"corp"})").status, 200);
  EXPECT_TRUE(reads());
  ASSERT_EQ(send("DELETE", place("web")).status, 200);
  EXPECT_FALSE(reads());
  ASSERT_EQ(send("DELETE", group("web")).status, 202);
  ASSERT_EQ(send("DELETE", group("corp")).status, 202);
  EXPECT_EQ(send("GET", assignment).status, 404);  // it went with its scope
}

TEST_F(ManagementGroupsTest, MovingNeedsRightsOnAllThreeSides) {
  make("from");
  make("to");
  make("moved", "from");
  const Person ada = make_person("ada");
  const auto move = [&] { return send_as(ada.token, "PATCH", group("moved"), R"({"parentGroupId":"to"})"); };
  EXPECT_EQ(move().code(), "AuthorizationFailed");
  assign(ada, kOwner, group("moved"));
  EXPECT_EQ(move().code(), "LinkedAuthorizationFailed");
  assign(ada, kContributor, group("from"));
  EXPECT_EQ(move().code(), "LinkedAuthorizationFailed");
  assign(ada, kContributor, group("to"));
  EXPECT_EQ(move().status, 200);
  // A contributor of the group itself may not: a move changes who has power over it.
  const Person bob = make_person("bob");
  for (const char* id : {"from", "to", "moved"}) assign(bob, kContributor, group(id));
  EXPECT_EQ(send_as(bob.token, "PATCH", group("moved"), R"({"parentGroupId":"from"})").code(),
            "LinkedAuthorizationFailed");
  // Making one is a right at the root.
  EXPECT_EQ(send_as(bob.token, "PUT", group("new"), under("to")).code(), "AuthorizationFailed");
  EXPECT_EQ(send_as(bob.token, "PUT", place("to")).code(), "LinkedAuthorizationFailed");
  EXPECT_EQ(send_as(bob.token, "DELETE", group("moved")).status, 202);
}

TEST_F(ManagementGroupsTest, ACustomRoleStaysWithItsAssignments) {
  make("corp");
  make("other");
  ASSERT_EQ(send("PUT", place("corp")).status, 200);
  const std::string roles = group("corp") + "/providers/Microsoft.Authorization/roleDefinitions/";
  const std::string role = R"({"properties":{"roleName":"Mover","type":"CustomRole","assignableScopes":[")" +
                           group("corp") + R"("],"permissions":[{"actions":["*/read"]}]}})";
  ASSERT_EQ(send("PUT", roles + kName, role).status, 201);
  make_group();
  const Person ada = make_person("ada");
  assign(ada, kName, kGroup);
  EXPECT_EQ(send("PUT", place("other")).code(), "BadRequest");
  EXPECT_EQ(send_as(ada.token, "GET", kGroup).status, 200);
  const std::string by_name = "?api-version=2022-04-01&$filter=" + net::percent_encode("roleName eq 'mover'");
  const std::string list = "/providers/Microsoft.Authorization/roleDefinitions";
  EXPECT_THAT(send("GET", kGroup + list + by_name).names(), ElementsAre(kName));
  EXPECT_THAT(send("GET", group("other") + list + by_name).names(), IsEmpty());
}

TEST_F(ManagementGroupsTest, AGroupHoldsFiveHundredAssignments) {
  make("corp");
  const Person ada = make_person("ada");
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) -> Result<void> {
    for (int i = 0; i < 500; ++i) {
      access::RoleAssignment assignment;
      assignment.id = Uuid::generate(random_);
      assignment.scope = group("corp");
      assignment.role_definition_id = *Uuid::parse(kReader);
      assignment.principal_id = Uuid::generate(random_);
      assignment.principal_type = "User";
      TRY(access_->assign(tx, assignment));
    }
    return {};
  }));
  const std::string body = R"({"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/)"
                           R"(roleDefinitions/)" +
                           std::string(kReader) + R"(","principalId":")" + ada.id.text() + R"("}})";
  EXPECT_EQ(
      send("PUT", group("corp") + "/providers/Microsoft.Authorization/roleAssignments/" + kName, body).code(),
      "RoleAssignmentLimitExceeded");
}

TEST_F(ManagementGroupsTest, OnlyADirectoryAdministratorElevatesAccess) {
  const std::string elevate = "/providers/Microsoft.Authorization/elevateAccess?api-version=2016-07-01";
  const Person ada = make_person("ada");
  assign(ada, kOwner, "/");
  EXPECT_EQ(send_as(ada.token, "POST", elevate).code(), "AuthorizationFailed");
  const Person eve = make_person("eve");
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) {
    return directory_->add_directory_role(tx, *Uuid::parse(identity::kGlobalAdministrator), eve.id);
  }));
  EXPECT_EQ(send_as(eve.token, "GET", group(root())).status, 403);
  EXPECT_EQ(send_as(eve.token, "POST", elevate).status, 200);
  EXPECT_EQ(send_as(eve.token, "POST", elevate).status, 200);
  const auto at_root =
      send_as(eve.token, "GET",
              "/providers/Microsoft.Authorization/roleAssignments?api-version=" +
                  std::string("2022-04-01&$filter=principalId%20eq%20'") + eve.id.text() + "'");
  ASSERT_EQ(at_root.names().size(), 1U) << at_root.text;
  EXPECT_NE(at_root.text.find(kAdministrator), std::string::npos);
  const auto entered = entries("Microsoft.Authorization/elevateAccess/action");
  ASSERT_EQ(entered.size(), 3U);
  EXPECT_EQ(entered[0].decision, ledger::Decision::denied);
  EXPECT_EQ(string_at(entered[1].details, "through"), "directory role Global Administrator");
}

TEST_F(ManagementGroupsTest, NamesAreChecked) {
  const auto check = [&](const std::string& name) {
    return send("POST", "/providers/Microsoft.Management/checkNameAvailability",
                R"({"name":")" + name + R"(","type":"Microsoft.Management/managementGroups"})");
  };
  EXPECT_TRUE(bool_at(check("corp").body, "nameAvailable").value_or(false));
  make("Corp");
  EXPECT_EQ(check("corp").at("reason"), "AlreadyExists");
  EXPECT_EQ(check("corp.").at("reason"), "Invalid");
}

}  // namespace
}  // namespace merlon::resource
