// Graph as az and the command line use it: who may what, what each change leaves in the directory and in the
// ledger.
#include "identity/graph.h"

#include <set>

#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;

class GraphTest : public ::testing::Test {
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
  static std::string filter(const std::string& text) { return "$filter=" + net::percent_encode(text); }
  static std::string id_of(const net::Response& response) {
    EXPECT_EQ(response.status, 201) << response.body;
    return string_at(body_of(response), "id").value_or("");
  }
  static std::string code_of(const net::Response& response) {
    const JsonObject body = body_of(response);
    EXPECT_TRUE(string_at(body, "error.message")) << response.body;
    EXPECT_TRUE(string_at(body, "error.innerError.request-id")) << response.body;
    return string_at(body, "error.code").value_or("");
  }
  static const JsonArray& values(const JsonObject& body) { return body.at("value").as_array(); }
  std::string make_user(const std::string& name) {
    return id_of(call(admin, "POST", "users",
                      {{"accountEnabled", true},
                       {"displayName", name},
                       {"userPrincipalName", name + "@merlon.localhost"}}));
  }
  // A token for the user as a password sign-in would give it.
  std::string user_bearer(const std::string& user_id) {
    TokenSubject subject;
    subject.principal.object_id = *Uuid::parse(user_id);
    subject.principal.kind = PrincipalKind::user;
    subject.principal.app_id = *Uuid::parse(kAzureCliAppId);
    subject.audience = "https://graph.microsoft.com";
    User user;
    user.id = subject.principal.object_id;
    subject.session_id = world.make_session(user);
    return "Bearer " + must(world.issuer->issue(subject, World::kOrigin, std::chrono::hours(1)));
  }

  World world;
  World::App admin = world.make_admin("admin");
  World::App nobody = world.make_app("nobody");
};

TEST_F(GraphTest, EveryRouteDeclaresItsPermissionAndEveryChangeItsAction) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const GraphRoute& route : graph_routes()) {
    EXPECT_TRUE(seen.emplace(route.method, route.pattern).second) << route.pattern;
    EXPECT_NE(route.read == nullptr, route.write == nullptr) << route.pattern;
    if (route.write == nullptr) {
      EXPECT_TRUE(route.method == "GET" || route.pattern == "directoryObjects/getByIds" ||
                  route.pattern.ends_with("MemberGroups"))
          << route.pattern;
      continue;
    }
    const bool own = route.pattern.starts_with("me/") || route.pattern == "merlon.sessions/{id}" ||
                     route.pattern.ends_with("Methods/{method}");
    if (route.permission == GraphPermission::write_owned)
      EXPECT_TRUE(route.pattern.starts_with("groups/{id}") || route.pattern.starts_with("applications/{id}"))
          << route.pattern;
    else
      EXPECT_EQ(route.permission, own ? GraphPermission::write_self : GraphPermission::write_directory)
          << route.pattern;
    EXPECT_TRUE(route.action.starts_with("microsoft.directory/") ||
                route.action.starts_with("Merlon.Identity/"))
        << route.pattern;
  }
}

TEST_F(GraphTest, NobodyGetsInWithoutAToken) {
  for (const GraphRoute& route : graph_routes()) {
    const net::Response response = call_with("", std::string(route.method), std::string(route.pattern));
    EXPECT_EQ(response.status, 401) << route.pattern;
    EXPECT_EQ(code_of(response), "InvalidAuthenticationToken");
    EXPECT_THAT(response.headers.value_or("WWW-Authenticate", ""), HasSubstr("Bearer"));
  }
  EXPECT_EQ(call_with("Bearer x", "GET", "nothing/here").status, 401);
  EXPECT_EQ(world.send("GET", "/oidc/userinfo")->status, 401);
}

TEST_F(GraphTest, WithoutARoleEveryChangeIsRefusedAndNoted) {
  const std::string group =
      id_of(call(admin, "POST", "groups", {{"displayName", "ops"}, {"securityEnabled", true}}));
  for (const GraphRoute& route : graph_routes()) {
    if (route.permission != GraphPermission::write_directory &&
        route.permission != GraphPermission::write_owned &&
        route.permission != GraphPermission::read_directory)
      continue;
    std::string path(route.pattern);
    for (const std::string hole : {"{id}", "{member}"})
      if (const size_t at = path.find(hole); at != std::string::npos) path.replace(at, hole.size(), group);
    const net::Response response = call(nobody, std::string(route.method), path, {{"displayName", "x"}});
    EXPECT_EQ(response.status, 403) << route.method << " " << path << response.body;
    EXPECT_EQ(code_of(response), "Authorization_RequestDenied");
  }
  bool noted = false;
  for (const auto& entry : world.entries("microsoft.directory/groups/delete"))
    noted = noted || (entry.decision == ledger::Decision::denied &&
                      entry.actor.object_id == nobody.principal.id.text());
  EXPECT_TRUE(noted);
  EXPECT_EQ(call(admin, "GET", "groups/" + group).status, 200);
}

TEST_F(GraphTest, AServicePrincipalWithoutARoleSeesItselfAlone) {
  const std::string own = nobody.principal.id.text();
  EXPECT_EQ(call(nobody, "GET", "servicePrincipals/" + own).status, 200);
  EXPECT_EQ(call(nobody, "GET", "servicePrincipals/" + admin.principal.id.text()).status, 403);
  EXPECT_EQ(call(nobody, "GET", "servicePrincipals/" + Uuid::generate(world.random).text()).status, 403);
  const net::Response listed = call(nobody, "GET", "servicePrincipals");
  ASSERT_EQ(listed.status, 200) << listed.body;
  ASSERT_EQ(values(body_of(listed)).size(), 1U);
  EXPECT_EQ(string_at(values(body_of(listed))[0].as_object(), "id"), own);
  const std::string by_name = "servicePrincipals?" + filter("servicePrincipalNames/any(c:c eq '" +
                                                            nobody.application.app_id.text() + "')");
  EXPECT_EQ(call(nobody, "GET", by_name).status, 200);
  EXPECT_EQ(call(nobody, "GET", "servicePrincipals?" + filter("displayName eq 'admin'")).status, 403);
  EXPECT_EQ(call(nobody, "GET", "users").status, 403);
  EXPECT_EQ(call(nobody, "GET", "organization").status, 200);
  EXPECT_EQ(call(nobody, "GET", "me").status, 400);
  const net::Response looked =
      call(nobody, "POST", "directoryObjects/getByIds", {{"ids", JsonArray{own, admin.principal.id.text()}}});
  EXPECT_EQ(values(body_of(looked)).size(), 1U);
}

TEST_F(GraphTest, AReaderReadsAndDoesNotWrite) {
  world.write([&](store::Transaction& tx) {
    return world.directory->add_directory_role(tx, *Uuid::parse(kDirectoryReaders), nobody.principal.id);
  });
  EXPECT_EQ(call(nobody, "GET", "users").status, 200);
  EXPECT_EQ(call(nobody, "GET", "applications").status, 200);
  EXPECT_EQ(call(nobody, "POST", "groups", {{"displayName", "x"}}).status, 403);
}

TEST_F(GraphTest, UsersFromCreationToRemoval) {
  const std::string id = make_user("alice");
  EXPECT_EQ(call(admin, "GET", "users/alice@merlon.localhost").status, 200);
  const net::Response again =
      call(admin, "POST", "users",
           {{"accountEnabled", true}, {"displayName", "x"}, {"userPrincipalName", "ALICE@merlon.localhost"}});
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(code_of(again), "Request_BadRequest");
  const std::string bearer = user_bearer(id);
  const net::Response me = call_with(bearer, "GET", "me");
  ASSERT_EQ(me.status, 200) << me.body;
  EXPECT_EQ(string_at(body_of(me), "userPrincipalName"), "alice@merlon.localhost");
  EXPECT_EQ(body_of(me).contains("passwordHash"), false);
  EXPECT_EQ(world.send("GET", "/oidc/userinfo", "", {{"Authorization", bearer}})->status, 200);
  EXPECT_EQ(call_with(bearer, "GET", "users").status, 200);  // themselves
  EXPECT_EQ(call_with(bearer, "GET", "groups").status, 403);
  EXPECT_EQ(call_with(bearer, "PATCH", "users/" + id, {{"displayName", "Me"}}).status, 403);

  EXPECT_EQ(call(admin, "PATCH", "users/" + id, {{"displayName", "Alice A."}}).status, 204);
  EXPECT_EQ(call(admin, "PATCH", "users/" + id).status, 400);
  EXPECT_EQ(call(admin, "PATCH", "users/" + id, {{"accountEnabled", false}}).status, 204);
  EXPECT_EQ(call_with(bearer, "GET", "me").status, 401);  // tokens end at once
  EXPECT_EQ(world.entries("microsoft.directory/users/disable").size(), 1U);
  EXPECT_EQ(call(admin, "DELETE", "users/" + id).status, 204);
  EXPECT_EQ(call(admin, "GET", "users/" + id).status, 404);
  EXPECT_EQ(code_of(call(admin, "DELETE", "users/" + id)), "Request_ResourceNotFound");
  const auto entries = world.entries("microsoft.directory/users/delete");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].resource, "/tenants/" + world.tenant.text() + "/users/" + id);
  EXPECT_EQ(entries[0].actor.object_id, admin.principal.id.text());
}

TEST_F(GraphTest, PasswordsAreCheckedHashedAndNeverShown) {
  const auto user = [&](const std::string& password) {
    return JsonObject{
        {"accountEnabled", true},
        {"displayName", "Bob"},
        {"userPrincipalName", "bob@merlon.localhost"},
        {"passwordProfile", JsonObject{{"password", password}, {"forceChangePasswordNextSignIn", false}}}};
  };
  EXPECT_EQ(call(admin, "POST", "users", user("weak")).status, 400);
  const net::Response made = call(admin, "POST", "users", user("correct Horse 7"));
  const std::string id = id_of(made);
  EXPECT_EQ(made.body.find("correct Horse 7"), std::string::npos);
  EXPECT_EQ(made.body.find("argon2"), std::string::npos);
  const auto sign_in = [&](const std::string& password) {
    return world
        .post_form(world.v2(), {{"grant_type", "password"},
                                {"client_id", kAzureCliAppId},
                                {"username", "bob@merlon.localhost"},
                                {"password", password},
                                {"scope", "openid"}})
        .status;
  };
  EXPECT_EQ(sign_in("correct Horse 7"), 200);
  EXPECT_EQ(call(admin, "PATCH", "users/" + id,
                 {{"passwordProfile",
                   JsonObject{{"password", "another Horse 8"}, {"forceChangePasswordNextSignIn", false}}}})
                .status,
            204);
  EXPECT_EQ(sign_in("correct Horse 7"), 400);
  EXPECT_EQ(sign_in("another Horse 8"), 200);
  for (const auto& entry : world.entries("microsoft.directory/users/"))
    EXPECT_EQ(to_text(entry.details).find("Horse"), std::string::npos);
}

TEST_F(GraphTest, GroupsAndMembers) {
  const std::string alice = make_user("alice");
  const std::string group = id_of(call(
      admin, "POST", "groups",
      {{"displayName", "ops"}, {"mailEnabled", false}, {"mailNickname", "ops"}, {"securityEnabled", true}}));
  const std::string members = "groups/" + group + "/members";
  const JsonObject reference{{"@odata.id", "https://graph.microsoft.com/v1.0/directoryObjects/" + alice}};
  EXPECT_EQ(call(admin, "POST", members + "/$ref", reference).status, 204);
  EXPECT_EQ(call(admin, "POST", members + "/$ref", reference).status, 400);
  EXPECT_EQ(call(admin, "POST", members + "/$ref", {{"@odata.id", "nonsense"}}).status, 400);
  const JsonObject listed = body_of(call(admin, "GET", members));
  ASSERT_EQ(values(listed).size(), 1U);
  EXPECT_EQ(string_at(values(listed)[0].as_object(), "@odata.type"), std::nullopt);
  EXPECT_EQ(values(listed)[0].as_object().at("@odata.type"), Json("#microsoft.graph.user"));
  EXPECT_EQ(values(body_of(call(admin, "GET", "users/" + alice + "/memberOf"))).size(), 1U);
  EXPECT_EQ(values(body_of(call(admin, "GET",
                                "groups?" + filter("displayName eq 'ops' and mailNickname eq 'ops'"))))
                .size(),
            1U);
  EXPECT_EQ(call(admin, "DELETE", members + "/" + alice + "/$ref").status, 204);
  EXPECT_EQ(call(admin, "DELETE", members + "/" + alice + "/$ref").status, 404);
  EXPECT_EQ(call(admin, "PATCH", "groups/" + group, {{"description", "those on call"}}).status, 204);
  EXPECT_EQ(call(admin, "DELETE", "groups/" + group).status, 204);
  EXPECT_EQ(call(admin, "POST", "groups", {{"displayName", "m"}, {"mailEnabled", true}}).status, 400);
}

// The sequence of `az ad sp create-for-rbac` and of `az ad app credential reset --create-cert`.
TEST_F(GraphTest, ApplicationsAsAzMakesThem) {
  const net::Response made = call(admin, "POST", "applications", {{"displayName", "ci"}});
  const std::string id = id_of(made);
  const std::string app_id = *string_at(body_of(made), "appId");
  EXPECT_TRUE(
      values(body_of(call(admin, "GET", "servicePrincipals?" + filter("displayName eq 'ci'")))).empty());
  const std::string principal = id_of(call(admin, "POST", "servicePrincipals", {{"appId", app_id}}));
  EXPECT_EQ(call(admin, "POST", "servicePrincipals", {{"appId", app_id}}).status, 400);
  const net::Response password = call(
      admin, "POST", "applications/" + id + "/addPassword",
      {{"passwordCredential", JsonObject{{"displayName", "rbac"}, {"endDateTime", "2026-12-18T00:00:00Z"}}}});
  ASSERT_EQ(password.status, 200) << password.body;
  const std::string secret = *string_at(body_of(password), "secretText");
  World::App made_app = nobody;
  made_app.application.app_id = *Uuid::parse(app_id);
  made_app.secret = secret;
  EXPECT_EQ(world.ask_token(made_app).status, 200);
  EXPECT_EQ(call(admin, "GET", "applications/" + id).body.find(secret), std::string::npos);
  for (const auto& entry : world.entries("microsoft.directory/applications/"))
    EXPECT_EQ(to_text(entry.details).find(secret), std::string::npos);

  const auto key = must(crypto::PrivateKey::generate(crypto::KeyKind::rsa));
  const std::string certificate =
      must(crypto::make_self_signed({.common_name = "ci",
                                     .dns_names = {},
                                     .addresses = {},
                                     .use = crypto::LeafUse::tls_client,
                                     .not_before = world.clock.now(),
                                     .not_after = world.clock.now() + std::chrono::hours(24)},
                                    key, world.random));
  const std::string der = to_base64(must(crypto::certificate_der(certificate)));
  const JsonObject credential{{"type", "AsymmetricX509Cert"}, {"usage", "Verify"}, {"key", der}};
  EXPECT_EQ(call(admin, "PATCH", "applications/" + id, {{"keyCredentials", JsonArray{credential}}}).status,
            204);
  const JsonObject shown = body_of(call(admin, "GET", "applications/" + id));
  ASSERT_EQ(shown.at("keyCredentials").as_array().size(), 1U);
  const std::string key_id = *string_at(shown.at("keyCredentials").as_array()[0].as_object(), "keyId");
  EXPECT_EQ(call(admin, "PATCH", "applications/" + id,
                 {{"keyCredentials", JsonArray{JsonObject{{"keyId", key_id}}}}})
                .status,
            204);
  EXPECT_EQ(body_of(call(admin, "GET", "applications/" + id)).at("keyCredentials").as_array().size(), 1U);
  EXPECT_EQ(call(admin, "PATCH", "applications/" + id, {{"keyCredentials", JsonArray()}}).status, 204);
  EXPECT_TRUE(body_of(call(admin, "GET", "applications/" + id)).at("keyCredentials").as_array().empty());
  EXPECT_EQ(call(admin, "POST", "applications/" + id + "/addKey", {{"keyCredential", credential}}).status,
            200);
  EXPECT_EQ(
      call(admin, "POST", "applications/" + id + "/addKey", {{"keyCredential", JsonObject{{"key", "AAAA"}}}})
          .status,
      400);

  EXPECT_EQ(call(admin, "POST", "applications/" + id + "/removePassword",
                 {{"keyId", *string_at(body_of(password), "keyId")}})
                .status,
            204);
  EXPECT_EQ(world.ask_token(made_app).status, 401);
  EXPECT_EQ(call(admin, "PATCH", "servicePrincipals/" + principal, {{"accountEnabled", false}}).status, 204);
  EXPECT_EQ(call(admin, "DELETE", "applications/" + id).status, 204);
  EXPECT_EQ(call(admin, "GET", "servicePrincipals/" + principal).status, 404);
}

TEST_F(GraphTest, FiltersAndPages) {
  for (int i = 0; i < 25; ++i) make_user("user" + std::to_string(i));
  make_user("zoe");
  EXPECT_EQ(
      values(body_of(call(admin, "GET", "users?" + filter("userPrincipalName eq 'ZOE@merlon.localhost'"))))
          .size(),
      1U);
  EXPECT_EQ(values(body_of(call(admin, "GET", "users?" + filter("startswith(displayName,'User1')")))).size(),
            11U);
  EXPECT_EQ(values(body_of(call(admin, "GET", "users?" + filter("displayName eq 'O''Hara'")))).size(), 0U);
  EXPECT_EQ(values(body_of(call(admin, "GET", "users?" + filter("accountEnabled eq false")))).size(), 0U);
  const JsonObject chosen = body_of(call(admin, "GET", "users?$top=1&$select=displayName"));
  EXPECT_EQ(values(chosen)[0].as_object().size(), 2U);  // and the id

  for (const std::string& first :
       {std::string("users?$top=7"), "users?$top=7&" + filter("startswith(displayName,'u')")}) {
    std::set<std::string> seen;
    std::string path = first;
    for (int pages = 0; !path.empty(); ++pages) {
      ASSERT_LT(pages, 10);
      const JsonObject body = body_of(call(admin, "GET", path));
      EXPECT_LE(values(body).size(), 7U);
      for (const Json& user : values(body))
        EXPECT_TRUE(seen.insert(*string_at(user.as_object(), "id")).second);
      const Json* next = body.if_contains("@odata.nextLink");
      const std::string prefix = std::string(World::kOrigin) + "/v1.0/";
      if (next != nullptr) EXPECT_TRUE(std::string(next->as_string()).starts_with(prefix));
      path = next == nullptr ? "" : std::string(next->as_string()).substr(prefix.size());
    }
    EXPECT_EQ(seen.size(), first.size() > 15 ? 25U : 26U);
  }
  for (const std::string bad : {"$top=0", "$top=1000", "$top=x", "$orderby=id", "$filter=displayName",
                                "$filter=nothing%20eq%20%27x%27", "$filter=displayName%20ne%20%27x%27"})
    EXPECT_EQ(call(admin, "GET", "users?" + bad).status, 400) << bad;
}

TEST_F(GraphTest, BodiesThatDoNotFit) {
  const std::string bearer = "Bearer " + world.token(admin);
  for (const std::string body :
       {"", "[]", "null", "{", R"({"displayName":1})", R"({"displayName":"a","displayName":"b"})"}) {
    const auto response = world.send("POST", "/v1.0/groups", body, {{"Authorization", bearer}});
    EXPECT_EQ(response->status, 400) << body;
    EXPECT_EQ(code_of(*response), "Request_BadRequest");
  }
  EXPECT_EQ(call(admin, "PUT", "groups").status, 405);
  EXPECT_EQ(call(admin, "GET", "nothing").status, 404);
  EXPECT_EQ(call(admin, "GET", "users/%27%3B--").status, 404);
  EXPECT_EQ(call(admin, "GET", "groups/not-an-id").status, 404);
}

}  // namespace
}  // namespace merlon::identity
