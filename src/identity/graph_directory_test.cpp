// Graph's memberships, owners, counts and the credentials of service principals: who may ask and write, and
// what is left afterwards.
#include <set>

#include "identity/graph.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class GraphDirectoryTest : public ::testing::Test {
 protected:
  net::Response call(const World::App& who, const std::string& method, const std::string& path,
                     const JsonObject& body = {}) {
    return call_with("Bearer " + world.token(who), method, path, body);
  }
  net::Response call_with(const std::string& authorization, const std::string& method,
                          const std::string& path, const JsonObject& body = {}) {
    auto response =
        world.send(method, "/v1.0/" + path, method == "GET" || method == "DELETE" ? "" : to_text(body),
                   {{"Authorization", authorization}, {"Content-Type", "application/json"}});
    EXPECT_TRUE(response);
    return response ? *std::move(response) : net::Response{};
  }
  JsonObject reference(const std::string& id) {
    return {{"@odata.id", "https://graph.microsoft.com/v1.0/directoryObjects/" + id}};
  }
  std::string make_group(const std::string& name) {
    const net::Response made =
        call(admin, "POST", "groups", {{"displayName", name}, {"securityEnabled", true}});
    EXPECT_EQ(made.status, 201) << made.body;
    return *string_at(body_of(made), "id");
  }
  void add(const std::string& group, const std::string& member) {
    EXPECT_EQ(call(admin, "POST", "groups/" + group + "/members/$ref", reference(member)).status, 204);
  }
  static std::vector<std::string> ids(const net::Response& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    std::vector<std::string> found;
    if (response.status != 200) return found;
    for (const Json& value : body_of(response).at("value").as_array())
      found.push_back(value.is_string() ? std::string(value.get_string())
                                        : string_at(value.as_object(), "id").value_or(""));
    return found;
  }
  std::string bearer_of(const User& user) {
    TokenSubject subject;
    subject.principal.object_id = user.id;
    subject.principal.kind = PrincipalKind::user;
    subject.principal.app_id = *Uuid::parse(kAzureCliAppId);
    subject.audience = "https://graph.microsoft.com";
    subject.session_id = world.make_session(user);
    return "Bearer " + must(world.issuer->issue(subject, World::kOrigin, std::chrono::hours(1)));
  }

  World world;
  World::App admin = world.make_admin("admin");
  World::App nobody = world.make_app("nobody");
  User ada = world.make_user("ada@merlon.localhost");
  User bob = world.make_user("bob@merlon.localhost");
};

TEST_F(GraphDirectoryTest, MembershipsThroughGroups) {
  const std::string inner = make_group("inner");
  const std::string outer = make_group("outer");
  const std::string other = make_group("other");
  add(inner, ada.id.text());
  add(outer, inner);
  add(outer, nobody.principal.id.text());
  const std::string user = "users/" + ada.id.text();
  EXPECT_THAT(ids(call(admin, "GET", user + "/memberOf")), ElementsAre(inner));
  EXPECT_THAT(ids(call(admin, "GET", "users/ada@merlon.localhost/transitiveMemberOf")),
              UnorderedElementsAre(inner, outer));
  EXPECT_THAT(ids(call(admin, "POST", user + "/getMemberGroups", {{"securityEnabledOnly", true}})),
              UnorderedElementsAre(inner, outer));
  EXPECT_THAT(ids(call(admin, "POST", "groups/" + inner + "/getMemberGroups")), ElementsAre(outer));
  EXPECT_THAT(ids(call(admin, "GET", "groups/" + outer + "/members")),
              UnorderedElementsAre(inner, nobody.principal.id.text()));
  EXPECT_THAT(ids(call(admin, "GET", "groups/" + outer + "/transitiveMembers")),
              UnorderedElementsAre(inner, nobody.principal.id.text(), ada.id.text()));
  EXPECT_THAT(ids(call(admin, "POST", "directoryObjects/" + ada.id.text() + "/checkMemberGroups",
                       {{"groupIds", JsonArray{outer, other, inner}}})),
              ElementsAre(outer, inner));
  EXPECT_THAT(ids(call(admin, "POST", "directoryObjects/" + bob.id.text() + "/checkMemberGroups",
                       {{"groupIds", JsonArray{outer}}})),
              IsEmpty());
  EXPECT_EQ(call(admin, "POST", user + "/checkMemberGroups", {{"groupIds", JsonArray{"x"}}}).status, 400);
  EXPECT_EQ(call(admin, "POST", user + "/checkMemberGroups", {{"groupIds", JsonArray{}}}).status, 400);
  // What it is must fit the path.
  EXPECT_EQ(call(admin, "GET", "users/" + inner + "/memberOf").status, 404);
  EXPECT_EQ(call(admin, "GET", "groups/" + ada.id.text() + "/memberOf").status, 404);
  EXPECT_EQ(call(admin, "GET", "servicePrincipals/" + ada.id.text() + "/memberOf").status, 404);
  EXPECT_EQ(call(admin, "GET", "users/nobody@merlon.localhost/memberOf").status, 404);
}

TEST_F(GraphDirectoryTest, WhoMayNotReadTheDirectorySeesTheirOwnMemberships) {
  const std::string group = make_group("group");
  add(group, ada.id.text());
  const std::string bearer = bearer_of(ada);
  EXPECT_THAT(ids(call_with(bearer, "GET", "me/memberOf")), ElementsAre(group));
  EXPECT_THAT(ids(call_with(bearer, "GET", "me/transitiveMemberOf")), ElementsAre(group));
  EXPECT_THAT(ids(call_with(bearer, "POST", "me/getMemberGroups")), ElementsAre(group));
  EXPECT_THAT(ids(call_with(bearer, "POST", "me/checkMemberGroups", {{"groupIds", JsonArray{group}}})),
              ElementsAre(group));
  EXPECT_THAT(ids(call_with(bearer, "GET", "users/ada@merlon.localhost/memberOf")), ElementsAre(group));
  for (const std::string& path :
       {"users/" + bob.id.text() + "/memberOf", std::string("users/bob@merlon.localhost/memberOf"),
        std::string("users/none@merlon.localhost/transitiveMemberOf"), "groups/" + group + "/members",
        "groups/" + group + "/transitiveMembers", "groups/" + group + "/owners", "groups/" + group,
        "groups/" + Uuid::generate(world.random).text(), "applications/" + admin.application.id.text()})
    EXPECT_EQ(call_with(bearer, "GET", path).status, 403) << path;
  EXPECT_EQ(call_with(bearer, "POST", "directoryObjects/" + bob.id.text() + "/getMemberGroups").status, 403);
}

TEST_F(GraphDirectoryTest, AnOwnerWritesWhatTheyOwnAndNothingElse) {
  const std::string mine = make_group("mine");
  const std::string theirs = make_group("theirs");
  const std::string bearer = bearer_of(ada);
  const auto status = [&](const std::string& method, const std::string& path, const JsonObject& body = {}) {
    return call_with(bearer, method, path, body).status;
  };
  EXPECT_EQ(status("POST", "groups/" + mine + "/members/$ref", reference(bob.id.text())), 403);
  EXPECT_EQ(status("POST", "groups/" + mine + "/owners/$ref", reference(ada.id.text())), 403);
  EXPECT_EQ(call(admin, "POST", "groups/" + mine + "/owners/$ref", reference(ada.id.text())).status, 204);
  EXPECT_EQ(call(admin, "POST", "groups/" + mine + "/owners/$ref", reference(ada.id.text())).status, 400);
  EXPECT_EQ(call(admin, "POST", "groups/" + mine + "/owners/$ref", reference(theirs)).status, 400)
      << "a group owns nothing";
  EXPECT_THAT(ids(call(admin, "GET", "groups/" + mine + "/owners")), ElementsAre(ada.id.text()));
  EXPECT_THAT(ids(call_with(bearer, "GET", "me/ownedObjects")), ElementsAre(mine));
  EXPECT_THAT(ids(call_with(bearer, "GET", "groups")), ElementsAre(mine));
  EXPECT_EQ(status("POST", "groups/" + mine + "/members/$ref", reference(bob.id.text())), 204);
  EXPECT_EQ(status("PATCH", "groups/" + mine, {{"description", "hers"}}), 204);
  std::vector<std::string> reasons;
  for (const auto& entry : world.entries("microsoft.directory/groups/members/update"))
    if (entry.decision == ledger::Decision::allowed) reasons.push_back(entry.reason);
  EXPECT_THAT(reasons, ElementsAre("owner"));
  // Another's group, and what only administrators do.
  EXPECT_EQ(status("POST", "groups/" + theirs + "/members/$ref", reference(bob.id.text())), 403);
  EXPECT_EQ(status("DELETE", "groups/" + theirs), 403);
  EXPECT_EQ(status("POST", "groups", {{"displayName", "x"}}), 403);
  EXPECT_EQ(status("PATCH", "users/" + bob.id.text(), {{"displayName", "x"}}), 403);
  // Not any more.
  EXPECT_EQ(call(admin, "DELETE", "groups/" + mine + "/owners/" + ada.id.text() + "/$ref").status, 204);
  EXPECT_EQ(call(admin, "DELETE", "groups/" + mine + "/owners/" + ada.id.text() + "/$ref").status, 404);
  EXPECT_EQ(status("DELETE", "groups/" + mine), 403);
  EXPECT_EQ(call(admin, "GET", "groups/" + mine).status, 200);
}

TEST_F(GraphDirectoryTest, AnOwnerOfAnApplicationGivesItASecretUnlessItIsAnAdministrator) {
  const std::string bearer = bearer_of(ada);
  const auto own = [&](const World::App& app) {
    EXPECT_EQ(call(admin, "POST", "applications/" + app.application.id.text() + "/owners/$ref",
                   reference(ada.id.text()))
                  .status,
              204);
  };
  const auto give_secret = [&](const World::App& app) {
    return call_with(bearer, "POST", "applications/" + app.application.id.text() + "/addPassword").status;
  };
  EXPECT_EQ(give_secret(nobody), 403);
  own(nobody);
  EXPECT_EQ(give_secret(nobody), 200);
  EXPECT_THAT(ids(call_with(bearer, "GET", "applications")), ElementsAre(nobody.application.id.text()));
  EXPECT_EQ(call_with(bearer, "GET",
                      "applications/" + nobody.application.id.text() + "/federatedIdentityCredentials")
                .status,
            200);
  own(admin);
  EXPECT_EQ(give_secret(admin), 403) << "or an owner would be a Global Administrator";
  world.write([&](store::Transaction& tx) {
    return world.directory->add_directory_role(tx, *Uuid::parse(kDirectoryReaders), nobody.principal.id);
  });
  EXPECT_EQ(give_secret(nobody), 403) << "or would read the directory";
  // Ownership ends with the owner and with the owned.
  EXPECT_EQ(call(admin, "DELETE", "applications/" + nobody.application.id.text()).status, 204);
  EXPECT_THAT(ids(call_with(bearer, "GET", "me/ownedObjects")), ElementsAre(admin.application.id.text()));
  EXPECT_EQ(call(admin, "DELETE", "users/" + ada.id.text()).status, 204);
  EXPECT_THAT(ids(call(admin, "GET", "applications/" + admin.application.id.text() + "/owners")), IsEmpty());
}

TEST_F(GraphDirectoryTest, AnOwnerDoesNotWriteWhatActsForWhoeverSignsIn) {
  const std::string bearer = bearer_of(ada);
  const std::string path = "applications/" + nobody.application.id.text();
  ASSERT_EQ(call(admin, "POST", path + "/owners/$ref", reference(ada.id.text())).status, 204);
  const JsonObject redirect{{"web", JsonObject{{"redirectUris", JsonArray{"https://ada.example/callback"}}}}};
  const JsonObject federated{{"name", "hers"},
                             {"issuer", "https://ada.example"},
                             {"subject", "s"},
                             {"audiences", JsonArray{"api://AzureADTokenExchange"}}};
  const auto consent = [&](bool granted) {
    EXPECT_EQ(call(admin, "POST", "servicePrincipals/" + nobody.principal.id.text() + "/merlon.consent",
                   {{"granted", granted}})
                  .status,
              204);
  };
  EXPECT_EQ(call_with(bearer, "PATCH", path, redirect).status, 204);
  consent(true);
  EXPECT_EQ(call_with(bearer, "PATCH", path, redirect).status, 403)
      << "or an administrator's code would arrive there";
  EXPECT_EQ(call_with(bearer, "POST", path + "/addPassword").status, 403);
  EXPECT_EQ(call_with(bearer, "POST", path + "/federatedIdentityCredentials", federated).status, 403);
  EXPECT_EQ(call_with(bearer, "POST", path + "/owners/$ref", reference(bob.id.text())).status, 403);
  EXPECT_EQ(call(admin, "PATCH", path, redirect).status, 204);
  consent(false);
  EXPECT_EQ(call_with(bearer, "PATCH", path, redirect).status, 204);
}

TEST_F(GraphDirectoryTest, AServicePrincipalHasItsApplicationsCredentials) {
  const std::string path = "servicePrincipals/" + nobody.principal.id.text();
  EXPECT_EQ(body_of(call(admin, "GET", path)).at("passwordCredentials").as_array().size(), 1U);
  const net::Response added = call(admin, "POST", path + "/addPassword",
                                   {{"passwordCredential", JsonObject{{"displayName", "second"}}}});
  ASSERT_EQ(added.status, 200) << added.body;
  World::App by_second = nobody;
  by_second.secret = *string_at(body_of(added), "secretText");
  EXPECT_EQ(world.ask_token(by_second).status, 200);
  const auto entries = world.entries("microsoft.directory/servicePrincipals/credentials/update");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(string_at(entries[0].details, "servicePrincipal"), nobody.principal.id.text());
  EXPECT_EQ(to_text(entries[0].details).find(by_second.secret), std::string::npos);
  EXPECT_EQ(
      call(admin, "POST", path + "/removePassword", {{"keyId", *string_at(body_of(added), "keyId")}}).status,
      204);
  EXPECT_EQ(world.ask_token(by_second).status, 401);
  EXPECT_EQ(call(admin, "PATCH", path, {{"keyCredentials", JsonArray{JsonObject{{"keyId", "x"}}}}}).status,
            400);
  EXPECT_EQ(call(admin, "PATCH", path).status, 400);
  EXPECT_EQ(call(nobody, "POST", path + "/addPassword").status, 403) << "not for oneself";
  const ServicePrincipal managed = world.write<ServicePrincipal>([&](store::Transaction& tx) {
    return world.directory->create_managed_identity(tx, "managed", "/subscriptions/x");
  });
  EXPECT_EQ(call(admin, "POST", "servicePrincipals/" + managed.id.text() + "/addPassword").status, 400)
      << "a managed identity keeps no secret";
}

TEST_F(GraphDirectoryTest, CountsAndPagesOfMembers) {
  const std::string group = make_group("group");
  std::set<std::string> wanted;
  for (int i = 0; i < 12; ++i) {
    const User user = world.make_user("m" + std::to_string(i) + "@merlon.localhost");
    add(group, user.id.text());
    wanted.insert(user.id.text());
  }
  const std::string members = "groups/" + group + "/members";
  std::set<std::string> seen;
  std::string path = members + "?$top=5&$count=true";
  int pages = 0;
  for (; !path.empty() && pages < 5; ++pages) {
    const net::Response page = call(admin, "GET", path);
    for (const std::string& id : ids(page)) EXPECT_TRUE(seen.insert(id).second);
    const JsonObject body = body_of(page);
    EXPECT_EQ(body.at("@odata.count"), Json(12)) << "of all pages";
    const Json* next = body.if_contains("@odata.nextLink");
    const std::string prefix = std::string(World::kOrigin) + "/v1.0/";
    path = next == nullptr ? std::string() : std::string(next->as_string()).substr(prefix.size());
  }
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, wanted);
  const net::Response count = call(admin, "GET", members + "/$count");
  EXPECT_EQ(count.body, "12");
  EXPECT_EQ(count.headers.value_or("Content-Type", ""), "text/plain");
  EXPECT_EQ(call(admin, "GET", "users/$count").body, "14");
  EXPECT_EQ(
      call(admin, "GET", "users/$count?$filter=" + net::percent_encode("startswith(userPrincipalName,'m1')"))
          .body,
      "3");
  const JsonObject users = body_of(call(admin, "GET", "users?$top=4&$count=true"));
  EXPECT_EQ(users.at("@odata.count"), Json(14));
  EXPECT_EQ(call(admin, "GET", "users?$count=perhaps").status, 400);
  EXPECT_EQ(call(nobody, "GET", "users/$count").status, 403);
  EXPECT_EQ(call(admin, "GET", members + "?$filter=" + net::percent_encode("displayName eq 'x'")).status,
            200);
  EXPECT_EQ(call(admin, "GET", members + "?$orderby=id").status, 400);
}

TEST_F(GraphDirectoryTest, IdsAreLookedUpByTheirTypes) {
  const std::string group = make_group("group");
  const auto look = [&](const JsonArray& types) {
    JsonObject body{{"ids", JsonArray{group, ada.id.text(), admin.principal.id.text()}}};
    if (!types.empty()) body["types"] = types;
    return ids(call(admin, "POST", "directoryObjects/getByIds", body));
  };
  const std::string user = ada.id.text();
  const std::string principal = admin.principal.id.text();
  EXPECT_THAT(look({}), UnorderedElementsAre(group, user, principal));
  EXPECT_THAT(look({"group"}), ElementsAre(group));
  EXPECT_THAT(look({"user", "group", "servicePrincipal", "directoryObjectPartnerReference"}),
              UnorderedElementsAre(group, user, principal))
      << "what az asks for";
  EXPECT_THAT(look({"directoryObject"}), UnorderedElementsAre(group, user, principal));
  EXPECT_THAT(look({"device"}), IsEmpty());
}

TEST_F(GraphDirectoryTest, WhoDoesNotReadTheDirectoryLooksUpNamesAlone) {
  const JsonObject body{{"ids", JsonArray{bob.id.text(), ada.id.text(), admin.principal.id.text()}}};
  const auto found = body_of(call_with(bearer_of(ada), "POST", "directoryObjects/getByIds", body));
  ASSERT_EQ(found.at("value").as_array().size(), 3U);
  for (const Json& value : found.at("value").as_array()) {
    const JsonObject& object = value.as_object();
    EXPECT_NE(string_at(object, "displayName").value_or(""), "");
    const bool own = string_at(object, "id") == ada.id.text();
    for (const char* member : {"passwordCredentials", "keyCredentials", "accountEnabled", "passwordProfile"})
      EXPECT_TRUE(own || !object.contains(member)) << member;
  }
}

TEST_F(GraphDirectoryTest, UsersAsAzWritesThem) {
  const std::string user = "users/" + ada.id.text();
  EXPECT_EQ(call(admin, "PATCH", "users('ada@merlon.localhost')", {{"mailNickname", "countess"}}).status,
            204);
  EXPECT_EQ(string_at(body_of(call(admin, "GET", user)), "mailNickname"), "countess");
  EXPECT_EQ(call(admin, "PATCH", user, {{"mailNickname", std::string(65, 'x')}}).status, 400);
  EXPECT_EQ(body_of(call(admin, "GET", user + "?$select=displayName")).size(), 3U)
      << "with the id and the context";
  EXPECT_EQ(call(admin, "GET", user + "?$expand=memberOf").status, 400) << "refused, not ignored";
  EXPECT_EQ(
      call(admin, "PATCH", user, {{"passwordProfile", JsonObject{{"forceChangePasswordNextSignIn", true}}}})
          .status,
      204);
  EXPECT_EQ(bool_at(body_of(call(admin, "GET", user)), "passwordProfile.forceChangePasswordNextSignIn"),
            true);
  EXPECT_EQ(call(admin, "POST", "users",
                 {{"accountEnabled", true},
                  {"displayName", "x"},
                  {"userPrincipalName", "x@merlon.localhost"},
                  {"passwordProfile", JsonObject{{"forceChangePasswordNextSignIn", true}}}})
                .status,
            400)
      << "a profile without its password";
  EXPECT_EQ(
      call(admin, "POST", "applications", {{"displayName", "x"}, {"signInAudience", "AzureADMultipleOrgs"}})
          .status,
      400)
      << "there is this directory alone";
  for (const std::string odd : {"users('')", "users('ada@merlon.localhost'", "('x')", "users(x)"})
    EXPECT_EQ(call(admin, "GET", net::percent_encode(odd)).status, 404) << odd;
}

}  // namespace
}  // namespace merlon::identity
