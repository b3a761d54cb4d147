// Sessions, keys and consent through the API: who may see and end what, and that the ledger has it.
#include "identity/test_browser.h"

namespace merlon::identity {
namespace {

class GraphSessionsTest : public BrowserTest {
 protected:
  World::App admin = world.make_admin("admin");

  std::string sign_in_for_token() {
    return string_at(body_of(redeem(sign_in())), "access_token").value_or("");
  }
  net::Response call(const std::string& token, const std::string& method, const std::string& path,
                     const std::string& body = {}) {
    auto response = world.send(method, "/v1.0/" + path, body, {{"Authorization", "Bearer " + token}});
    EXPECT_TRUE(response);
    return response.value_or(net::Response{});
  }
  std::string graph_token(const World::App& app) {
    return string_at(body_of(world.ask_token(app, "https://graph.microsoft.com/.default")), "access_token")
        .value_or("");
  }
};

TEST_F(GraphSessionsTest, PeopleSeeAndEndTheirOwn) {
  const std::string token = sign_in_for_token();
  const User bob = world.make_user("bob@merlon.localhost", hash());
  const std::string bobs = world.make_session(bob);
  const net::Response listed = call(token, "GET", "merlon.sessions");
  ASSERT_EQ(listed.status, 200) << listed.body;
  const JsonObject list = body_of(listed);
  ASSERT_EQ(list.at("value").as_array().size(), 2U);
  EXPECT_EQ(listed.body.find(bobs), std::string::npos);
  EXPECT_EQ(call(token, "GET", "users/" + bob.id.text() + "/merlon.sessions").status, 403);
  // The same answer for a session of somebody else and for none at all.
  EXPECT_EQ(call(token, "DELETE", "merlon.sessions/" + bobs).status, 403);
  EXPECT_EQ(call(token, "DELETE", "merlon.sessions/" + Uuid::generate(world.random).text()).status, 403);
  EXPECT_EQ(call(token, "DELETE", "merlon.sessions/x").status, 403);
  const std::string own = *string_at(claims_of(token), "sid");
  EXPECT_EQ(call(token, "DELETE", "merlon.sessions/" + own).status, 204);
  EXPECT_EQ(call(token, "GET", "merlon.sessions").status, 401);  // it was this token's
  EXPECT_TRUE(knows(browser)) << "the browser's own goes on";
  bool entered = false;
  for (const auto& entry : world.entries("Merlon.Identity/sessions/revoke"))
    entered =
        entered || (entry.decision == ledger::Decision::allowed &&
                    string_at(entry.details, "sessionId") == own && entry.actor.object_id == alice.id.text());
  EXPECT_TRUE(entered);
}

TEST_F(GraphSessionsTest, AnAdministratorSeesAndEndsAll) {
  const std::string token = sign_in_for_token();
  const std::string admins = graph_token(admin);
  EXPECT_EQ(body_of(call(admins, "GET", "merlon.sessions")).at("value").as_array().size(), 2U);
  const JsonObject page = body_of(call(admins, "GET", "merlon.sessions?$top=1"));
  EXPECT_EQ(page.at("value").as_array().size(), 1U);
  EXPECT_TRUE(page.contains("@odata.nextLink"));
  EXPECT_EQ(call(admins, "DELETE", "merlon.sessions/" + *string_at(claims_of(token), "sid")).status, 204);
  EXPECT_FALSE(world.authenticate("Bearer " + token));
  EXPECT_EQ(call(admins, "DELETE", "merlon.sessions/" + *string_at(claims_of(token), "sid")).status, 404);
}

TEST_F(GraphSessionsTest, SigningOutEverywhere) {
  const std::string token = sign_in_for_token();
  EXPECT_EQ(call(token, "POST", "me/revokeSignInSessions").status, 200);
  EXPECT_FALSE(world.authenticate("Bearer " + token));
  EXPECT_FALSE(knows(browser));
  EXPECT_TRUE(all_sessions().empty());
}

TEST_F(GraphSessionsTest, KeysAreRotatedByAdministratorsAlone) {
  const std::string token = sign_in_for_token();
  EXPECT_EQ(call(token, "POST", "merlon.signingKeys/rotate", "{}").status, 403);
  EXPECT_EQ(call(token, "GET", "merlon.signingKeys").status, 403);
  EXPECT_EQ(call(graph_token(admin), "POST", "merlon.signingKeys/rotate", R"({"mode":"never"})").status, 400);
  const net::Response announced = call(graph_token(admin), "POST", "merlon.signingKeys/rotate", "{}");
  ASSERT_EQ(announced.status, 200) << announced.body;
  EXPECT_EQ(body_of(announced).at("value").as_array().size(), 2U);
  EXPECT_EQ(announced.body.find("private"), std::string::npos);
  EXPECT_EQ(call(graph_token(admin), "POST", "merlon.signingKeys/rotate", "{}").status, 409);
  EXPECT_TRUE(world.authenticate("Bearer " + token));
  EXPECT_EQ(call(graph_token(admin), "POST", "merlon.signingKeys/rotate", R"({"mode":"compromised"})").status,
            200);
  EXPECT_FALSE(world.authenticate("Bearer " + token));
}

TEST_F(GraphSessionsTest, RedirectUrisAndConsentOfAnApplication) {
  const std::string admins = graph_token(admin);
  const net::Response made =
      call(admins, "POST", "applications",
           R"({"displayName":"portal","web":{"redirectUris":["https://portal.example/cb"]},)"
           R"("publicClient":{"redirectUris":["http://localhost"]}})");
  ASSERT_EQ(made.status, 201) << made.body;
  const JsonObject application = body_of(made);
  EXPECT_EQ(application.at("web").at("redirectUris"), Json(JsonArray{"https://portal.example/cb"}));
  const std::string path = "applications/" + *string_at(application, "id");
  EXPECT_EQ(call(admins, "PATCH", path, R"({"web":{"redirectUris":["http://portal.example/cb"]}})").status,
            400);
  EXPECT_EQ(call(admins, "PATCH", path, R"({"web":{"redirectUris":[]}})").status, 204);
  const JsonObject changed = body_of(call(admins, "GET", path));
  EXPECT_EQ(changed.at("web").at("redirectUris"), Json(JsonArray()));
  EXPECT_EQ(changed.at("publicClient").at("redirectUris"), Json(JsonArray{"http://localhost"}));
  const std::string consent = "servicePrincipals/" + admin.principal.id.text() + "/merlon.consent";
  EXPECT_EQ(call(sign_in_for_token(), "POST", consent, R"({"granted":true})").status, 403);
  EXPECT_EQ(call(admins, "POST", consent, R"({"granted":true})").status, 204);
  const auto consents = world.entries("microsoft.directory/servicePrincipals/managePermissionGrantsForAll");
  ASSERT_EQ(consents.size(), 2U);
  const auto granted = std::ranges::find_if(
      consents, [](const ledger::Entry& entry) { return entry.decision == ledger::Decision::allowed; });
  ASSERT_NE(granted, consents.end());
  const JsonArray* credentials = array_at(granted->details, "credentials");
  ASSERT_NE(credentials, nullptr) << "what the application has when it is consented to";
  EXPECT_EQ(credentials->size(), 1U);
}

TEST_F(GraphSessionsTest, ARefreshTokenIsRevokedByWhoHasIt) {
  const JsonObject body = body_of(redeem(sign_in()));
  const std::string refresh_token = *string_at(body, "refresh_token");
  const auto revoke = [&](const std::string& token, const std::string& client) {
    return world.post_form("/adfs/oauth2/revoke", {{"token", token}, {"client_id", client}}).status;
  };
  EXPECT_EQ(revoke("unknown", kAzureCliAppId), 200);  // RFC 7009 section 2.2
  EXPECT_EQ(revoke(refresh_token, admin.application.app_id.text()), 401);
  EXPECT_TRUE(world.authenticate("Bearer " + *string_at(body, "access_token")));
  EXPECT_EQ(revoke(refresh_token, kAzureCliAppId), 200);
  EXPECT_FALSE(world.authenticate("Bearer " + *string_at(body, "access_token")));
  EXPECT_NE(number_of(refresh(refresh_token)), 0);
}

}  // namespace
}  // namespace merlon::identity
