// The token endpoint with client secrets: the three dialects as real clients use them, and every refusal with
// its number.
#include "identity/token_endpoint.h"

#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;

class TokenEndpointTest : public ::testing::Test {
 protected:
  World world;
  World::App app = world.make_app("web");
  const std::string id = app.application.app_id.text();
  const std::string scope = std::string(World::kManagement) + ".default";

  static void expect_refused(const net::Response& response, int number, const std::string& error,
                             int status) {
    EXPECT_EQ(response.status, status) << response.body;
    const JsonObject body = body_of(response);
    EXPECT_EQ(string_at(body, "error"), error) << response.body;
    EXPECT_EQ(body.at("error_codes"), Json(JsonArray{number})) << response.body;
    EXPECT_THAT(string_at(body, "error_description").value_or(""),
                HasSubstr("AADSTS" + std::to_string(number) + ": "));
    for (const char* name : {"timestamp", "trace_id", "correlation_id", "error_uri"})
      EXPECT_TRUE(body.contains(name));
    EXPECT_FALSE(body.contains("access_token"));
    EXPECT_EQ(response.headers.value_or("Cache-Control", ""), "no-store");
  }
  Form good() const {
    return {{"grant_type", "client_credentials"},
            {"client_id", id},
            {"client_secret", app.secret},
            {"scope", scope}};
  }
  static Form with(Form form, const std::string& name, const std::string& value) {
    std::erase_if(form, [&](const auto& field) { return field.first == name; });
    form.emplace_back(name, value);
    return form;
  }
  static Form without(Form form, const std::string& name) {
    std::erase_if(form, [&](const auto& field) { return field.first == name; });
    return form;
  }
};

TEST_F(TokenEndpointTest, Version2) {
  const net::Response response = world.post_form(world.v2() + "?client-request-id=" + id, good());
  ASSERT_EQ(response.status, 200) << response.body;
  const JsonObject body = body_of(response);
  EXPECT_EQ(string_at(body, "token_type"), "Bearer");
  EXPECT_EQ(int_at(body, "expires_in"), 3599);
  EXPECT_EQ(int_at(body, "ext_expires_in"), 3599);
  EXPECT_FALSE(body.contains("refresh_token"));
  EXPECT_EQ(response.headers.value_or("Cache-Control", ""), "no-store");
  EXPECT_EQ(response.headers.value_or("Pragma", ""), "no-cache");
  EXPECT_TRUE(world.authenticate("Bearer " + *string_at(body, "access_token")));
}

TEST_F(TokenEndpointTest, Version1HasItsNumbersAsTexts) {
  const Form form = with(without(good(), "scope"), "resource", "https://management.azure.com/");
  const net::Response response = world.post_form("/" + world.tenant.text() + "/oauth2/token", form);
  ASSERT_EQ(response.status, 200) << response.body;
  const JsonObject body = body_of(response);
  EXPECT_EQ(string_at(body, "expires_in"), "3599");
  EXPECT_EQ(string_at(body, "resource"), "https://management.azure.com/");
  EXPECT_TRUE(string_at(body, "expires_on"));
  EXPECT_EQ(string_at(claims_of(*string_at(body, "access_token")), "aud"), "https://management.azure.com/");
}

// What Debian's az sends to a cloud registered with an AD FS authority.
TEST_F(TokenEndpointTest, AdfsAsAzSendsIt) {
  Form form = with(good(), "client_info", "1");
  form = with(form, "claims", R"({"access_token": {"xms_cc": {"values": ["CP1"]}}})");
  const net::Response response = world.post_form("/adfs/oauth2/token", form);
  ASSERT_EQ(response.status, 200) << response.body;
  const JsonObject body = body_of(response);
  EXPECT_EQ(int_at(body, "expires_in"), 3599);
  const JsonObject claims = claims_of(*string_at(body, "access_token"));
  EXPECT_EQ(claims.at("xms_cc"), Json(JsonArray{"CP1"}));
  // No matter which authority was asked, tokens name the tenant.
  EXPECT_EQ(string_at(claims, "iss"), std::string(World::kOrigin) + "/" + world.tenant.text() + "/");
}

TEST_F(TokenEndpointTest, EveryAliasOfTheTenant) {
  for (const std::string& tenant : {world.tenant.text(), std::string("common"), std::string("organizations"),
                                    std::string("merlon.localhost"), world.tenant.text() + "/b2c_adfs"})
    EXPECT_EQ(world.post_form("/" + tenant + "/oauth2/v2.0/token", good()).status, 200) << tenant;
  for (const std::string tenant : {"22222222-2222-4222-8222-222222222222", "contoso.com"})
    expect_refused(world.post_form("/" + tenant + "/oauth2/v2.0/token", good()), 90002, "invalid_request",
                   400);
}

TEST_F(TokenEndpointTest, DoubledSlashesAndOtherNamesOfTheResourceManager) {
  for (const std::string audience :
       {"https://merlon.localhost:8443", "https://merlon.localhost:8443/", "https://management.azure.com",
        "https://management.core.windows.net/", "https://localhost:8443", "https://graph.microsoft.com"}) {
    const net::Response response = world.post_form(world.v2(), with(good(), "scope", audience + "/.default"));
    ASSERT_EQ(response.status, 200) << audience << response.body;
    EXPECT_EQ(string_at(claims_of(*string_at(body_of(response), "access_token")), "aud"), audience);
  }
}

TEST_F(TokenEndpointTest, AnApplicationCanBeAResource) {
  Application api;
  api.display_name = "orders";
  api.identifier_uris = {"api://orders"};
  world.write([&](store::Transaction& tx) -> Result<void> {
    TRY(world.directory->create_application(tx, api));
    return {};
  });
  const net::Response response = world.post_form(world.v2(), with(good(), "scope", "api://orders/.default"));
  ASSERT_EQ(response.status, 200) << response.body;
  const std::string token = *string_at(body_of(response), "access_token");
  EXPECT_EQ(string_at(claims_of(token), "aud"), "api://orders");
  EXPECT_EQ(world.authenticate("Bearer " + token).error().code, "InvalidAuthenticationTokenAudience");
}

TEST_F(TokenEndpointTest, BasicHeader) {
  const Form form = without(without(good(), "client_id"), "client_secret");
  const auto basic = [](const std::string& pair) {
    return Form{{"Authorization", "Basic " + to_base64(as_bytes(pair))}};
  };
  EXPECT_EQ(world.post_form(world.v2(), form, basic(id + ":" + app.secret)).status, 200);
  EXPECT_EQ(world.post_form(world.v2(), with(form, "client_id", id), basic(id + ":" + app.secret)).status,
            200);
  const net::Response wrong = world.post_form(world.v2(), form, basic(id + ":wrong"));
  expect_refused(wrong, 7000215, "invalid_client", 401);
  EXPECT_THAT(wrong.headers.value_or("WWW-Authenticate", ""), HasSubstr("Basic"));
  expect_refused(world.post_form(world.v2(), good(), basic(id + ":" + app.secret)), 9002313,
                 "invalid_request", 400);
  expect_refused(
      world.post_form(world.v2(), with(form, "client_id", Uuid().text()), basic(id + ":" + app.secret)),
      90014, "invalid_request", 400);
  expect_refused(world.post_form(world.v2(), form, {{"Authorization", "Basic !!!"}}), 9002313,
                 "invalid_request", 400);
  expect_refused(world.post_form(world.v2(), form, basic("nocolon")), 9002313, "invalid_request", 400);
}

TEST_F(TokenEndpointTest, WrongExpiredAndForeignSecrets) {
  expect_refused(world.post_form(world.v2(), with(good(), "client_secret", "wrong")), 7000215,
                 "invalid_client", 401);
  expect_refused(world.post_form(world.v2(), with(good(), "client_secret", "")), 7000215, "invalid_client",
                 401);
  const World::App other = world.make_app("other");
  expect_refused(world.post_form(world.v2(), with(good(), "client_secret", other.secret)), 7000215,
                 "invalid_client", 401);
  world.clock.advance(std::chrono::hours(25));
  expect_refused(world.post_form(world.v2(), good()), 7000222, "invalid_client", 401);
}

TEST_F(TokenEndpointTest, UnknownDisabledAndIncompleteApplications) {
  expect_refused(world.post_form(world.v2(), with(good(), "client_id", Uuid::generate(world.random).text())),
                 700016, "unauthorized_client", 400);
  expect_refused(world.post_form(world.v2(), with(good(), "client_id", "web\n\"")), 700016,
                 "unauthorized_client", 400);
  expect_refused(
      world.post_form(world.v2(), with(without(good(), "client_secret"), "client_id", kAzureCliAppId)),
      7000218, "invalid_client", 401);
  expect_refused(world.post_form(world.v2(), with(good(), "client_id", kAzureCliAppId)), 700025,
                 "invalid_client", 401);
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_enabled(tx, app.principal.id, false); });
  expect_refused(world.post_form(world.v2(), good()), 7000112, "unauthorized_client", 400);
  // Who does not know the secret does not learn that the application is disabled.
  expect_refused(world.post_form(world.v2(), with(good(), "client_secret", "wrong")), 7000215,
                 "invalid_client", 401);
  world.write(
      [&](store::Transaction& tx) { return world.directory->erase_service_principal(tx, app.principal.id); });
  expect_refused(world.post_form(world.v2(), good()), 7000229, "unauthorized_client", 400);
}

TEST_F(TokenEndpointTest, MissingAndMalformedParameters) {
  for (const std::string name : {"grant_type", "client_id", "scope"}) {
    const net::Response response = world.post_form(world.v2(), without(good(), name));
    expect_refused(response, 900144, "invalid_request", 400);
    EXPECT_THAT(response.body, HasSubstr("'" + name + "'"));
  }
  expect_refused(world.post_form("/" + world.tenant.text() + "/oauth2/token", without(good(), "scope")),
                 900144, "invalid_request", 400);
  expect_refused(world.post_form(world.v2(), without(good(), "client_secret")), 7000218, "invalid_client",
                 401);
  expect_refused(world.post_form(world.v2(), with(good(), "claims", "{")), 9002313, "invalid_request", 400);
  Form twice = good();
  twice.emplace_back("Client_Id", id);
  expect_refused(world.post_form(world.v2(), twice), 9002313, "invalid_request", 400);
  expect_refused(*world.send("POST", world.v2(), "{}", {{"Content-Type", "application/json"}}), 900144,
                 "invalid_request", 400);
  expect_refused(*world.send("GET", world.v2()), 900561, "invalid_request", 400);
  expect_refused(*world.send("POST", world.v2(), "grant_type=%ZZ",
                             {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}}),
                 9002313, "invalid_request", 400);
}

TEST_F(TokenEndpointTest, GrantsThatDoNotExist) {
  for (const std::string grant : {"implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x"})
    expect_refused(world.post_form(world.v2(), with(good(), "grant_type", grant)), 70003,
                   "unsupported_grant_type", 400);
}

TEST_F(TokenEndpointTest, AFormThatIsTooLongOrSaysTwoThings) {
  expect_refused(world.post_form(world.v2(), with(good(), "x", std::string(66'000, 'x'))), 9002313,
                 "invalid_request", 400);
  Form twice = good();
  twice.emplace_back("Scope", "openid");
  expect_refused(world.post_form(world.v2(), twice), 9002313, "invalid_request", 400);
}

TEST_F(TokenEndpointTest, Scopes) {
  expect_refused(world.post_form(world.v2(), with(good(), "scope", "https://unknown.example/.default")),
                 500011, "invalid_resource", 400);
  expect_refused(
      world.post_form(world.v2(), with(good(), "scope", "https://kv.vault.merlon.localhost:8443/.default")),
      500011, "invalid_resource", 400);
  for (const std::string bad : {"https://management.azure.com/user_impersonation", "openid", "User.Read"})
    expect_refused(world.post_form(world.v2(), with(good(), "scope", bad)), 1002012, "invalid_scope", 400);
  expect_refused(world.post_form(world.v2(), with(good(), "scope", "/.default")), 70011, "invalid_scope",
                 400);
  expect_refused(
      world.post_form(world.v2(), with(good(), "scope", scope + " https://graph.microsoft.com/.default")),
      28000, "invalid_scope", 400);
  expect_refused(world.post_form(world.v2(), with(good(), "scope", std::string(4000, 'a'))), 70011,
                 "invalid_scope", 400);
}

TEST_F(TokenEndpointTest, EveryTokenIsInTheLedgerBeforeItLeaves) {
  const net::Response response = world.ask_token(app);
  const auto entries = world.entries("Merlon.Identity/tokens/issue");
  ASSERT_EQ(entries.size(), 1U);
  const ledger::Entry& entry = entries[0];
  EXPECT_EQ(entry.decision, ledger::Decision::allowed);
  EXPECT_EQ(entry.resource,
            "/tenants/" + world.tenant.text() + "/servicePrincipals/" + app.principal.id.text());
  EXPECT_EQ(entry.actor.object_id, app.principal.id.text());
  EXPECT_EQ(entry.actor.address, "192.0.2.7");
  const std::string token = *string_at(body_of(response), "access_token");
  EXPECT_EQ(string_at(entry.details, "tokenId"), string_at(claims_of(token), "uti"));
  EXPECT_EQ(string_at(entry.details, "credentialId").value_or("").size(), 36U);
  EXPECT_EQ(to_text(entry.details).find(app.secret), std::string::npos);
}

TEST_F(TokenEndpointTest, RefusalsAreCountedInTheLedgerWithoutTheSecret) {
  for (int i = 0; i < 5; ++i)
    world.post_form(world.v2(), with(good(), "client_secret", "hunter2-" + std::to_string(i)));
  const auto entries = world.entries("Merlon.Identity/tokens/issue");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].decision, ledger::Decision::denied);
  EXPECT_EQ(entries[0].count, 5);
  EXPECT_THAT(entries[0].reason, HasSubstr("7000215"));
  EXPECT_EQ(to_text(entries[0].details).find("hunter2"), std::string::npos);
}

TEST_F(TokenEndpointTest, ForeignPathsAreLeftAlone) {
  for (const std::string path : {"/", "/subscriptions", "/metadata/endpoints?api-version=2022-09-01", "/adfs",
                                 "/common/oauth2", "/common/oauth2/x", "/oauth2/token"})
    EXPECT_FALSE(world.send("GET", path)) << path;
}

TEST_F(TokenEndpointTest, HostileFormsNeverGetAToken) {
  const std::vector<std::string> pieces = {"grant_type=client_credentials",
                                           "client_id=" + id,
                                           "client_secret=",
                                           "client_secret=%00",
                                           "scope=%20",
                                           "scope=.default",
                                           "=",
                                           "&&&",
                                           "a=b=c",
                                           "client_assertion=a.b.c",
                                           "client_assertion_type=x",
                                           "resource=",
                                           std::string(5000, '%'),
                                           "grant_type=password",
                                           "username=%FF"};
  for (size_t mask = 0; mask < (size_t{1} << pieces.size()); mask += 37) {
    std::string body;
    for (size_t i = 0; i < pieces.size(); ++i)
      if ((mask >> i & 1) != 0) body += "&" + pieces[i];
    const auto response =
        world.send("POST", world.v2(), body, {{"Content-Type", "application/x-www-form-urlencoded"}});
    ASSERT_TRUE(response);
    EXPECT_GE(response->status, 400) << body;
    EXPECT_LT(response->status, 500) << body;
    EXPECT_TRUE(body_of(*response).contains("error_codes"));
  }
}

}  // namespace
}  // namespace merlon::identity
