// Discovery documents: what MSAL and az read from them.
#include "identity/discovery.h"

#include "identity/test_world.h"

namespace merlon::identity {
namespace {

class DiscoveryTest : public ::testing::Test {
 protected:
  JsonObject get(const std::string& target) {
    const auto response = world.send("GET", target);
    if (!response) {
      ADD_FAILURE() << target << " is not answered";
      return {};
    }
    EXPECT_EQ(response->status, 200) << target << response->body;
    return body_of(*response);
  }
  World world;
  const std::string origin = World::kOrigin;
  const std::string tenant = world.tenant.text();
};

TEST_F(DiscoveryTest, EveryFormThatClientsAskFor) {
  struct Case {
    std::string path, issuer, token;
  };
  for (const Case& c :
       {Case{"/" + tenant + "/v2.0/", "/" + tenant + "/v2.0", "/" + tenant + "/oauth2/v2.0/token"},
        Case{"/" + tenant + "/", "/" + tenant + "/", "/" + tenant + "/oauth2/token"},
        Case{"/common/v2.0/", "/" + tenant + "/v2.0", "/common/oauth2/v2.0/token"},
        Case{"/organizations/v2.0/", "/" + tenant + "/v2.0", "/organizations/oauth2/v2.0/token"},
        Case{"/adfs/", "/adfs", "/adfs/oauth2/token"},
        Case{"/" + tenant + "/b2c_adfs/v2.0/", "/" + tenant + "/v2.0",
             "/" + tenant + "/b2c_adfs/oauth2/v2.0/token"}}) {
    const JsonObject document = get(c.path + ".well-known/openid-configuration");
    // msal-common: scheme, host and port of the issuer are the authority's.
    EXPECT_EQ(document.at("issuer"), Json(origin + c.issuer)) << c.path;
    EXPECT_EQ(document.at("token_endpoint"), Json(origin + c.token)) << c.path;
    EXPECT_TRUE(document.contains("authorization_endpoint"));
    const std::string keys(document.at("jwks_uri").as_string());
    ASSERT_TRUE(keys.starts_with(origin));
    const JsonObject jwks = get(keys.substr(origin.size()));
    const JsonObject& key = jwks.at("keys").as_array().at(0).as_object();
    for (const char* member : {"kty", "use", "kid", "x5t", "n", "e", "x5c", "issuer"})
      EXPECT_TRUE(key.contains(member)) << member;
    for (const char* member : {"d", "p", "q", "dp", "dq", "qi"}) EXPECT_FALSE(key.contains(member)) << member;
    EXPECT_EQ(key.at("issuer"), document.at("issuer"));
    // The certificate is of the same key.
    const auto der = from_base64(std::string(key.at("x5c").as_array().at(0).as_string()));
    ASSERT_TRUE(der);
    EXPECT_EQ(spki_hash_hex(must(crypto::certificate_public_key(crypto::certificate_pem(*der)))),
              spki_hash_hex(must(crypto::from_jwk(key))));
    // What is advertised is answered.
    for (const char* member :
         {"token_endpoint", "authorization_endpoint", "device_authorization_endpoint", "userinfo_endpoint"})
      EXPECT_TRUE(world.send("GET", std::string(document.at(member).as_string()).substr(origin.size())))
          << member;
  }
}

TEST_F(DiscoveryTest, ForeignTenants) {
  const auto response = world.send("GET", "/contoso.com/v2.0/.well-known/openid-configuration");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 400);
  EXPECT_EQ(body_of(*response).at("error_codes"), Json(JsonArray{90002}));
  EXPECT_EQ(world.send("POST", "/adfs/.well-known/openid-configuration")->status, 405);
}

TEST_F(DiscoveryTest, InstancesAreOursOrNotVouchedFor) {
  const std::string path = "/common/discovery/instance?api-version=1.1&authorization_endpoint=";
  const JsonObject ours = get(path + net::percent_encode(origin + "/" + tenant + "/oauth2/v2.0/authorize"));
  EXPECT_EQ(ours.at("tenant_discovery_endpoint"),
            Json(origin + "/" + tenant + "/v2.0/.well-known/openid-configuration"));
  for (const std::string other : {"https://evil.example/common/oauth2/v2.0/authorize", "", "x"}) {
    const auto response = world.send("GET", path + net::percent_encode(other));
    EXPECT_EQ(response->status, 400);
    EXPECT_EQ(body_of(*response).at("error"), Json("invalid_instance"));
  }
}

TEST_F(DiscoveryTest, RealmsTellNothing) {
  world.make_user("alice@merlon.localhost");
  const auto known = world.send("GET", "/common/userrealm/alice@merlon.localhost?api-version=1.0");
  const auto unknown = world.send("GET", "/common/userrealm/nobody@merlon.localhost?api-version=1.0");
  EXPECT_EQ(known->status, 404);
  EXPECT_EQ(known->body, unknown->body);
}

}  // namespace
}  // namespace merlon::identity
