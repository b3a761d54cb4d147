// Roles, rights and the ledger over HTTP.
#include <sstream>

#include "ledger/merkle.h"
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kName = "aaaaaaaa-0000-4000-8000-000000000001";

class AuthorizationTest : public ResourceFixture {
 protected:
  void SetUp() override { make_group(); }
  static std::string assignments(const std::string& scope) {
    return scope + "/providers/Microsoft.Authorization/roleAssignments";
  }
  static std::string body_for(const Person& person, const std::string& role, const std::string& more = {}) {
    return R"({"properties":{"roleDefinitionId":")" + kSubscription +
           "/providers/Microsoft.Authorization/roleDefinitions/" + role + R"(","principalId":")" +
           person.id.text() + R"(","principalType":"User")" + more + "}}";
  }
};

TEST_F(AuthorizationTest, AnAssignmentGivesAndItsRemovalTakes) {
  const Person ada = make_person("ada");
  EXPECT_EQ(send_as(ada.token, "GET", kGroup).status, 403);
  const std::string path = assignments(kGroup) + "/" + kName;
  const Answer made = send("PUT", path, body_for(ada, kReader));
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.at("type"), "Microsoft.Authorization/roleAssignments");
  EXPECT_EQ(made.at("properties.principalId"), ada.id.text());
  EXPECT_EQ(made.at("properties.createdBy"), owner_.id.text());
  EXPECT_EQ(send("PUT", path, body_for(ada, kReader)).status, 200);  // the same again
  EXPECT_EQ(send_as(ada.token, "GET", kGroup).status, 200);
  EXPECT_EQ(send("GET", path).at("name"), kName);
  const std::string filter =
      "?api-version=2022-04-01&$filter=" + net::percent_encode("principalId eq '" + ada.id.text() + "'");
  EXPECT_THAT(send("GET", assignments(kSubscription) + filter).names(), Contains(kName));
  EXPECT_EQ(send("GET", assignments(kGroup) + "?api-version=2022-04-01&$filter=color").status, 400);
  EXPECT_EQ(send("DELETE", path).status, 200);
  EXPECT_EQ(send("DELETE", path).status, 204);
  EXPECT_EQ(send("GET", path).status, 404);
  EXPECT_EQ(send_as(ada.token, "GET", kGroup).status, 403);
  const auto entered = entries("Microsoft.Authorization/roleAssignments/write");
  ASSERT_THAT(entered, SizeIs(2));
  EXPECT_EQ(string_at(entered[0].details, "principalId"), ada.id.text());
}

TEST_F(AuthorizationTest, NobodyRaisesThemselves) {
  const Person ada = make_person("ada");
  assign(ada, kContributor, kSubscription);
  EXPECT_EQ(send_as(ada.token, "PUT", assignments(kGroup) + "/" + kName, body_for(ada, kOwner)).status, 403);
  EXPECT_EQ(
      send_as(ada.token, "PUT", "/providers/Microsoft.Authorization/roleAssignments/" + std::string(kName),
              body_for(ada, kOwner))
          .status,
      403);
  // An owner of a group is not one of the subscription.
  const Person bob = make_person("bob");
  assign(bob, kOwner, kGroup);
  EXPECT_EQ(send_as(bob.token, "PUT", assignments(kSubscription) + "/" + kName, body_for(bob, kOwner)).status,
            403);
  EXPECT_EQ(send_as(bob.token, "PUT", assignments(kGroup) + "/" + kName, body_for(ada, kReader)).status, 201);
}

TEST_F(AuthorizationTest, ADelegatesConditionBinds) {
  const Person ada = make_person("ada");
  const Person bob = make_person("bob");
  // "May assign Reader, and nothing else" (Azure's role assignment delegation).
  const std::string condition =
      "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
      "(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {" +
      std::string(kReader) + "}))";
  const std::string more = R"(,"conditionVersion":"2.0","condition":)" + to_text(Json(condition));
  const std::string administrator =
      "f58310d9-a9f6-439a-9e8d-f62e7b41a168";  // Role Based Access Control Administrator
  ASSERT_EQ(send("PUT", assignments(kGroup) + "/" + kName, body_for(ada, administrator, more)).status, 201);
  const std::string second = assignments(kGroup) + "/aaaaaaaa-0000-4000-8000-000000000002";
  EXPECT_EQ(send_as(ada.token, "PUT", second, body_for(bob, kOwner)).status, 403);
  EXPECT_EQ(send_as(ada.token, "PUT", second, "{}").status, 403);
  const Answer made = send_as(ada.token, "PUT", second, body_for(bob, kReader));
  EXPECT_EQ(made.status, 201) << made.text;
}

TEST_F(AuthorizationTest, RightsAreGivenOnWhatExists) {
  const Person ada = make_person("ada");
  EXPECT_EQ(send("PUT", assignments(kBoxes + "/none") + "/" + kName, body_for(ada, kReader)).code(),
            "ResourceNotFound");
  EXPECT_EQ(
      send("PUT", assignments(kSubscription + "/resourceGroups/none") + "/" + kName, body_for(ada, kReader))
          .code(),
      "ResourceGroupNotFound");
  EXPECT_EQ(send("PUT", assignments(kGroup) + "/not-a-guid", body_for(ada, kReader)).status, 400);
  EXPECT_EQ(send("PUT", assignments(kGroup) + "/" + kName, "{}").status, 400);
}

TEST_F(AuthorizationTest, RolesBuiltInAndCustom) {
  const std::string roles = kSubscription + "/providers/Microsoft.Authorization/roleDefinitions";
  const std::string by_name =
      roles + "?api-version=2022-04-01&$filter=" + net::percent_encode("roleName eq 'Reader'");
  EXPECT_THAT(send("GET", by_name).names(), testing::ElementsAre(kReader));
  EXPECT_EQ(send("GET", roles + "/" + kOwner).at("properties.roleName"), "Owner");
  EXPECT_EQ(send("GET", roles + "/" + std::string(kName)).code(), "RoleDefinitionDoesNotExist");
  const std::string custom =
      R"({"properties":{"roleName":"Box painter","type":"CustomRole","assignableScopes":[")" + kGroup +
      R"("],"permissions":[{"actions":["Toy.Things/boxes/*"],"notActions":["Toy.Things/boxes/delete"]}]}})";
  ASSERT_EQ(send("PUT", roles + "/" + kName, custom).status, 201);
  const Person ada = make_person("ada");
  assign(ada, kName, kGroup);
  EXPECT_EQ(send_as(ada.token, "PUT", kBoxes + "/a", R"({"location":"local"})").status, 201);
  EXPECT_EQ(send_as(ada.token, "DELETE", kBoxes + "/a").status, 403);
  EXPECT_EQ(send("DELETE", roles + "/" + kName).status, 400);  // somebody has it
  // Who owns a group may not spread a role over the subscription.
  const Person bob = make_person("bob");
  assign(bob, kOwner, kGroup);
  const std::string spread = R"({"properties":{"roleName":"Mine","type":"CustomRole","assignableScopes":[")" +
                             kSubscription + R"("],"permissions":[{"actions":["*"]}]}})";
  const Answer refused = send_as(
      bob.token, "PUT",
      kGroup + "/providers/Microsoft.Authorization/roleDefinitions/aaaaaaaa-0000-4000-8000-000000000009",
      spread);
  EXPECT_EQ(refused.status, 403) << refused.text;
}

TEST_F(AuthorizationTest, WhatIsWrongWithARoleIsSaidByItsPath) {
  const std::string role = kSubscription + "/providers/Microsoft.Authorization/roleDefinitions/" + kName;
  const auto refused = [&](const std::string& properties) {
    const Answer answer = send("PUT", role,
                               R"({"properties":{"roleName":"R","assignableScopes":[")" + kSubscription +
                                   R"("],)" + properties + "}}");
    EXPECT_EQ(answer.status, 400) << answer.text;
    EXPECT_EQ(answer.code(), "InvalidRequestContent");
    return answer.at("error.target");
  };
  EXPECT_EQ(refused(R"("permissions":[{"actions":["a/b"]},{"actions":[1]}])"),
            "properties.permissions[1].actions[0]");
  EXPECT_EQ(refused(R"("permissions":[{"actions":["a/b"],"condition":1}])"),
            "properties.permissions[0].condition");
  EXPECT_EQ(refused(R"("permissions":[{"actions":["a/b"]}],"type":"BuiltInRole")"), "properties.type");
  EXPECT_EQ(refused(R"("description":"no permissions")"), "properties.permissions");
  EXPECT_EQ(send("GET", role).status, 404);
}

TEST_F(AuthorizationTest, EverybodyMayAskAboutThemselves) {
  const Person ada = make_person("ada");
  assign(ada, kReader, kGroup);
  const Answer mine = send_as(ada.token, "GET", kGroup + "/providers/Microsoft.Authorization/permissions");
  EXPECT_THAT(mine.text, HasSubstr("\"*/read\""));
  EXPECT_THAT(
      *array_at(
          send_as(ada.token, "GET", kSubscription + "/providers/Microsoft.Authorization/permissions").body,
          "value"),
      IsEmpty());
  const std::string check = kGroup + "/providers/Merlon.Authorization/checkAccess";
  const Answer yes = send_as(ada.token, "POST", check, R"({"action":"Toy.Things/boxes/read"})");
  ASSERT_EQ(yes.status, 200) << yes.text;
  EXPECT_EQ(bool_at(yes.body, "allowed"), true);
  EXPECT_EQ(yes.at("roleName"), "Reader");
  EXPECT_EQ(
      bool_at(send_as(ada.token, "POST", check, R"({"action":"Toy.Things/boxes/write"})").body, "allowed"),
      false);
  EXPECT_EQ(
      bool_at(send_as(ada.token, "POST", check, R"({"dataAction":"Toy.Things/boxes/read"})").body, "allowed"),
      false);
  EXPECT_EQ(send_as(ada.token, "POST", check, "{}").status, 400);
  const std::string about_owner =
      R"({"principalId":")" + owner_.id.text() + R"(","action":"Toy.Things/boxes/write"})";
  EXPECT_EQ(bool_at(send_as(ada.token, "POST", check, about_owner).body, "allowed"),
            true);  // a reader reads assignments
  const Person eve = make_person("eve");
  EXPECT_EQ(send_as(eve.token, "POST", check, about_owner).status, 403);
  EXPECT_EQ(
      bool_at(send_as(eve.token, "POST", check, R"({"action":"Toy.Things/boxes/read"})").body, "allowed"),
      false);
}

TEST_F(AuthorizationTest, TheCatalogueHasEveryPermission) {
  const Answer all = send(
      "GET",
      "/providers/Microsoft.Authorization/providerOperations?api-version=2022-04-01&$expand=resourceTypes");
  ASSERT_EQ(all.status, 200);
  for (const Route& route : manager_->routes()) {
    if (route.permission.empty() || route.permission.find('{') != std::string::npos) continue;
    EXPECT_THAT(all.text, HasSubstr("\"name\":\"" + route.permission + "\""));
  }
  EXPECT_EQ(send("GET", "/providers/Microsoft.Authorization/providerOperations/toy.things").at("name"),
            "Toy.Things");
}

TEST_F(AuthorizationTest, TheLedgerIsForThoseWhoMayReadIt) {
  const Person ada = make_person("ada");
  assign(ada, kOwner, kSubscription);
  for (const char* what : {"entries", "head", "consistency", "export"}) {
    const std::string path =
        std::string("/providers/Merlon.Ledger/") + what + "?api-version=2026-01-01&from=1&to=1";
    EXPECT_EQ(send_as(ada.token, "GET", path).status, 403)
        << what;  // a subscription's owner does not own the root
    EXPECT_EQ(send("GET", path).status, 200) << what;
  }
}

TEST_F(AuthorizationTest, TheLedgerTellsAndProves) {
  for (int i = 0; i < 3; ++i) make_box("b" + std::to_string(i));
  const std::string entries_path =
      "/providers/Merlon.Ledger/entries?api-version=2026-01-01&$filter=" +
      net::percent_encode("startswith(action, 'toy.things/boxes') and startswith(resource, '" + kBoxes +
                          "')");
  const Answer page = send("GET", entries_path + "&$top=2");
  ASSERT_EQ(page.status, 200) << page.text;
  ASSERT_THAT(*array_at(page.body, "value"), SizeIs(2));
  EXPECT_EQ(array_at(page.body, "value")->at(0).at("resource").as_string(), kBoxes + "/b2");
  const Answer rest = send("GET", page.at("nextLink").substr(std::string(kOrigin).size()));
  ASSERT_THAT(*array_at(rest.body, "value"), SizeIs(1));
  EXPECT_EQ(send("GET", "/providers/Merlon.Ledger/entries?api-version=2026-01-01&$filter=x").status, 400);

  const Answer head = send("GET", "/providers/Merlon.Ledger/head");
  const auto before = must(ledger::SignedHead::from_json(*object_at(head.body, "head")));
  EXPECT_TRUE(ledger::head_signature_valid(before, head.at("publicKey")));
  make_box("more");
  const auto after = must(
      ledger::SignedHead::from_json(*object_at(send("GET", "/providers/Merlon.Ledger/head").body, "head")));
  const Answer growth = send("GET", "/providers/Merlon.Ledger/consistency?api-version=2026-01-01&from=" +
                                        std::to_string(before.size) + "&to=" + std::to_string(after.size));
  std::vector<ledger::Hash> proof;
  for (const Json& text : *array_at(growth.body, "proof")) {
    const Bytes bytes = from_hex(std::string_view(text.as_string())).value_or(Bytes());
    ledger::Hash hash{};
    ASSERT_EQ(bytes.size(), hash.size());
    std::ranges::copy(bytes, hash.begin());
    proof.push_back(hash);
  }
  EXPECT_TRUE(ledger::verify_consistency(before.size, after.size, before.root, after.root, proof));
  EXPECT_EQ(send("GET", "/providers/Merlon.Ledger/consistency?api-version=2026-01-01&from=x&to=1").status,
            400);

  const Answer exported = send("GET", "/providers/Merlon.Ledger/export");
  std::istringstream file(exported.text);
  const auto report =
      ledger::verify_export(file, {.public_key_pem = head.at("publicKey"), .witnesses = {before}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->entries, after.size);
}

}  // namespace
}  // namespace merlon::resource
