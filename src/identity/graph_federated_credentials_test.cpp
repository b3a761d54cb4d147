// Graph's federated identity credentials: their life, what is refused, and that a refusal changes nothing.
#include <set>

#include "identity/federated_credentials.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

class GraphFederatedCredentialsTest : public ::testing::Test {
 protected:
  net::Response call(const std::string& method, const std::string& rest, const JsonObject& body = {}) {
    auto response = world.send(
        method, "/v1.0/applications/" + app.application.id.text() + "/federatedIdentityCredentials" + rest,
        body.empty() ? std::string() : to_text(body), {{"Authorization", "Bearer " + token}});
    EXPECT_TRUE(response);
    return *std::move(response);
  }
  static JsonObject wanted(const std::string& name, const std::string& subject = "repo:a/b") {
    return {{"name", name},
            {"issuer", "https://issuer.example/tenant"},
            {"subject", subject},
            {"audiences", JsonArray{std::string(kTokenExchangeAudience)}}};
  }
  size_t count() { return body_of(call("GET", "")).at("value").as_array().size(); }

  World world;
  World::App app = world.make_app("app");
  const std::string token = world.token(world.make_admin("admin"));
};

TEST_F(GraphFederatedCredentialsTest, TheirLife) {
  const net::Response made = call("POST", "", wanted("main"));
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string id = *string_at(body_of(made), "id");
  EXPECT_EQ(call("PATCH", "/main", {{"subject", "repo:c/d"}, {"description", "why"}}).status, 204);
  const JsonObject shown = body_of(call("GET", "/" + id));
  EXPECT_EQ(string_at(shown, "subject"), "repo:c/d");
  EXPECT_EQ(string_at(shown, "description"), "why");
  EXPECT_EQ(call("PATCH", "/main", {{"name", "other"}}).status, 400);
  const auto entries = world.entries("microsoft.directory/applications/credentials/update");
  ASSERT_GE(entries.size(), 2U);
  EXPECT_EQ(string_at(entries.front().details, "federatedCredential"), "main");
  EXPECT_EQ(call("DELETE", "/" + id).status, 204);
  EXPECT_EQ(call("GET", "/main").status, 404);
  EXPECT_EQ(call("DELETE", "/main").status, 404);
}

TEST_F(GraphFederatedCredentialsTest, BadOnesChangeNothing) {
  const auto refused = [&](const std::string& member, Json value) {
    JsonObject body = wanted("main");
    body[member] = std::move(value);
    const net::Response response = call("POST", "", body);
    EXPECT_EQ(response.status, 400) << member << response.body;
  };
  for (const char* name : {"", "ab", "-abc", "a b c", "a/../b", "caf\u00e9"}) refused("name", Json(name));
  refused("name", Json(std::string(121, 'a')));
  for (const char* issuer :
       {"", "issuer", "http://issuer.example", "https://", "https://a b", "https://a?x=y", "https://a#x",
        "https://u:p@a", "file:///etc/passwd", "https://a\nb"})
    refused("issuer", Json(issuer));
  refused("issuer", Json("https://issuer.example/" + std::string(600, 'x')));
  for (const char* subject : {"", " a", "a ", "a\nb"}) refused("subject", Json(subject));
  refused("subject", Json(7));
  refused("audiences", Json(JsonArray{}));
  refused("audiences", Json(JsonArray{"a", "b"}));
  refused("audiences", Json("api://AzureADTokenExchange"));
  refused("@merlon.issuerAuthorities", Json("no certificate"));
  const auto expression = [](const char* value, int version) {
    return Json(JsonObject{{"value", value}, {"languageVersion", version}});
  };
  refused("claimsMatchingExpression", expression("claims['sub'] eq 'x'", 1));  // and there is a subject
  refused("@merlon.issuerKeys", Json(JsonObject{{"keys", JsonArray{}}}));
  refused("@merlon.issuerKeys", Json("keys"));
  JsonObject of_expression = wanted("main");
  of_expression.erase("subject");
  EXPECT_EQ(call("POST", "", of_expression).status, 400) << "neither a subject nor an expression";
  for (const Json& value :
       {expression("claims['sub'] eq", 1), expression("", 1), expression("claims['sub'] eq 'x'", 2),
        Json("claims['sub'] eq 'x'"), Json(JsonObject{{"value", "claims['sub'] matches '*'"}})}) {
    of_expression["claimsMatchingExpression"] = value;
    EXPECT_EQ(call("POST", "", of_expression).status, 400) << to_text(value);
  }
  EXPECT_EQ(count(), 0U);
  EXPECT_EQ(call("POST", "", wanted("main")).status, 201);
  EXPECT_EQ(call("POST", "", wanted("Main", "another")).status, 409) << "names have no case";
  EXPECT_EQ(call("POST", "", wanted("twin")).status, 409) << "issuer and subject are there";
  EXPECT_EQ(call("POST", "", wanted("near", "repo:a/B")).status, 201) << "subjects have case";
  EXPECT_EQ(count(), 2U);
}

TEST_F(GraphFederatedCredentialsTest, ExpressionsAndTheirWarnings) {
  const auto of_expression = [](const std::string& name, const std::string& value) {
    JsonObject body = wanted(name);
    body.erase("subject");
    body["claimsMatchingExpression"] = JsonObject{{"value", value}, {"languageVersion", 1}};
    return body;
  };
  const std::string good = "claims['sub'] matches 'repo:org/*:ref:refs/heads/main'";
  const std::string bad = "claims['sub'] matches 'repo:org*:ref:refs/heads/main'";
  const net::Response made = call("POST", "", of_expression("good", good));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(string_at(body_of(made), "claimsMatchingExpression.value"), good);
  EXPECT_TRUE(body_of(made).at("subject").is_null());
  EXPECT_FALSE(body_of(made).contains("@merlon.warnings"));
  const net::Response warned = call("POST", "", of_expression("warned", bad));
  ASSERT_EQ(warned.status, 201) << warned.body;
  const Json first = body_of(warned).at("@merlon.warnings").as_array().at(0);
  EXPECT_EQ(first.at("code").as_string(), "AnotherOwnerAdmitted");
  EXPECT_THAT(std::string(first.at("message").as_string()),
              ::testing::HasSubstr("'repo:org-attacker/any:ref:refs/heads/main'"));
  EXPECT_EQ(
      to_text(
          world.entries("microsoft.directory/applications/credentials/update").back().details.at("warnings")),
      R"(["AnotherOwnerAdmitted"])");
  EXPECT_EQ(call("POST", "", of_expression("twin", good)).status, 409);
  EXPECT_EQ(call("PATCH", "/good", {{"subject", "repo:x/y"}}).status, 204);
  EXPECT_FALSE(body_of(call("GET", "/good")).contains("claimsMatchingExpression"));
  EXPECT_EQ(call("PATCH", "/good", of_expression("good", bad + " and claims['a'] eq 'b'")).status, 204);
  EXPECT_TRUE(body_of(call("GET", "/good")).at("subject").is_null());
  EXPECT_TRUE(body_of(call("GET", "/good")).contains("@merlon.warnings"));
}

TEST_F(GraphFederatedCredentialsTest, PinnedKeys) {
  const auto key = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  JsonObject body = wanted("main");
  body["@merlon.issuerKeys"] = JsonObject{{"keys", JsonArray{crypto::to_jwk(key.public_key())}}};
  JsonObject secret = body;
  secret["@merlon.issuerKeys"].at("keys").as_array().at(0).as_object()["d"] = "c2VjcmV0";
  const net::Response refused = call("POST", "", secret);
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, ::testing::HasSubstr("private"));
  EXPECT_EQ(count(), 0U);
  ASSERT_EQ(call("POST", "", body).status, 201);
  EXPECT_EQ(to_text(body_of(call("GET", "/main")).at("@merlon.issuerKeys")),
            to_text(body.at("@merlon.issuerKeys")));
  EXPECT_EQ(call("PATCH", "/main", {{"@merlon.issuerKeys", JsonObject{}}}).status, 204);
  EXPECT_FALSE(body_of(call("GET", "/main")).contains("@merlon.issuerKeys"));
}

TEST_F(GraphFederatedCredentialsTest, PagesAndAnEndWithTheApplication) {
  for (int i = 0; i < 45; ++i)
    ASSERT_EQ(call("POST", "", wanted("name" + std::to_string(i), std::to_string(i))).status, 201);
  std::set<std::string> names;
  std::string rest = "?$top=20";
  for (int page = 0; page < 4 && !rest.empty(); ++page) {
    const JsonObject list = body_of(call("GET", rest));
    for (const Json& one : list.at("value").as_array()) names.insert(*string_at(one.as_object(), "name"));
    const bool more = list.contains("@odata.nextLink");
    const std::string next = more ? std::string(list.at("@odata.nextLink").as_string()) : std::string();
    rest = next.empty() ? std::string() : next.substr(next.find('?'));
  }
  EXPECT_EQ(names.size(), 45U);
  EXPECT_EQ(rest, "");
  world.write(
      [&](store::Transaction& tx) { return world.directory->erase_application(tx, app.application.id); });
  EXPECT_TRUE(world
                  .read<std::vector<FederatedCredential>>([&](store::Reader& reader) {
                    return federated_credentials(reader, world.tenant, app.application.app_id, {}, 100);
                  })
                  .empty());
}

}  // namespace
}  // namespace merlon::identity
