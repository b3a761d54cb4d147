// Signing in and asking, against a server that plays along or does not.
#include "cli/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/api.h"
#include "cli/test_world.h"

namespace merlon::cli {
namespace {

using test::json_answer;
using test::list_of;
using test::refusal;
using test::Server;
using test::World;
using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kToken = "POST /tenant/oauth2/v2.0/token";
constexpr const char* kMachines = "GET /subscriptions/sub/providers/Merlon.Machines/machines";

class SessionTest : public testing::Test {
 protected:
  World world;
  Server server{world};
  Result<Api> api() { return Api::open(world.context); }
  void token_is(int status, const JsonObject& body) {
    server.on(kToken, [status, body](const net::Request&) { return json_answer(status, body); });
  }
};

TEST_F(SessionTest, SignsInOnceForManyCommands) {
  server.on("GET /x", JsonObject{{"ok", true}});
  for (int command = 0; command < 3; ++command) {
    auto signed_in = api();
    ASSERT_TRUE(signed_in.has_value());
    ASSERT_TRUE(signed_in->get("/x", "1").has_value());
  }
  ASSERT_THAT(server.requests(kToken), SizeIs(1));
  EXPECT_EQ(server.requests(kToken).front().body,
            "grant_type=client_credentials&client_secret=s3cret&client_id=app&scope=" +
                net::percent_encode(server.endpoint + "//.default"));
  EXPECT_EQ(server.requests("GET /x").front().headers.value_or("Authorization", ""), "Bearer t1");
  world.clock.advance(std::chrono::minutes(59));
  ASSERT_TRUE(api()->get("/x", "1").has_value());
  EXPECT_THAT(server.requests(kToken), SizeIs(2));
}

TEST_F(SessionTest, ASecretIsEncodedAsAForm) {
  world.environment["MERLON_CLIENT_SECRET"] = "a&b=c+d %";
  server.on("GET /x", JsonObject());
  ASSERT_TRUE(api()->get("/x", "1").has_value());
  EXPECT_THAT(server.requests(kToken).front().body, HasSubstr("client_secret=a%26b%3Dc%2Bd%20%25&"));
}

TEST_F(SessionTest, ATokenThatIsNotTakenAnyMoreIsReplacedOnce) {
  int issued = 0;
  server.on(kToken, [&](const net::Request&) {
    return json_answer(200, {{"access_token", "t" + std::to_string(++issued)}, {"expires_in", 3599}});
  });
  server.on("GET /x", [](const net::Request& request) {
    if (request.headers.value_or("Authorization", "") == "Bearer t1") return refusal(401, "Expired", "No.");
    return json_answer(200, {{"ok", true}});
  });
  EXPECT_TRUE(api()->get("/x", "1").has_value());
  EXPECT_EQ(issued, 2);
  server.on("GET /y", [](const net::Request&) { return refusal(401, "Never", "No."); });
  const auto refused = api()->get("/y", "1");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "Never");
  EXPECT_THAT(server.requests("GET /y"), SizeIs(2));
}

TEST_F(SessionTest, AWrongSecretIsSaidInWords) {
  token_is(401, {{"error", "invalid_client"}, {"error_description", "AADSTS7000215: Wrong. Trace ID: 1"}});
  EXPECT_EQ(world.run({"machine", "list"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("merlon: Wrong.\n  code: AADSTS7000215\n"));
  EXPECT_THAT(world.err.str(), testing::Not(HasSubstr("s3cret")));
}

TEST_F(SessionTest, SomethingThatIsNoTokenIsNoSignIn) {
  for (const JsonObject& answer : {JsonObject(), JsonObject{{"access_token", ""}, {"expires_in", 1}},
                                   JsonObject{{"access_token", "t"}}}) {
    token_is(200, answer);
    EXPECT_EQ(api()->get("/x", "1").error().code, "TokenAnswerNotUnderstood");
  }
}

TEST_F(SessionTest, APersonSignsInChangesThePasswordAndIsRefreshed) {
  world.environment.erase("MERLON_CLIENT_ID");
  world.environment.erase("MERLON_CLIENT_SECRET");
  world.environment["MERLON_PASSWORD"] = "one-time";
  world.environment["MERLON_NEW_PASSWORD"] = "chosen";
  int refreshed = 0;
  server.on(kToken, [&](const net::Request& request) {
    if (request.body.find("password=one-time") != std::string::npos)
      return json_answer(400,
                         {{"error", "invalid_grant"}, {"error_description", "AADSTS50055: It is expired."}});
    if (request.body.find("refresh_token=r") != std::string::npos) ++refreshed;
    return json_answer(200, {{"access_token", "t"}, {"expires_in", 3599}, {"refresh_token", "r"}});
  });
  server.on("POST /adfs/portal/updatepassword", JsonObject{{"status", "changed"}});
  ASSERT_EQ(world.run({"login", "--endpoint", server.endpoint, "--tenant", "tenant", "--username",
                       "ada@m.example"}),
            kDone)
      << world.err.str();
  EXPECT_EQ(server.requests("POST /adfs/portal/updatepassword").front().body,
            "UserName=ada%40m.example&OldPassword=one-time&NewPassword=chosen&ConfirmNewPassword=chosen");
  server.on("GET /x", JsonObject());
  ASSERT_TRUE(api()->get("/x", "1").has_value());
  EXPECT_EQ(refreshed, 0);
  world.clock.advance(std::chrono::hours(2));
  ASSERT_TRUE(api()->get("/x", "1").has_value());
  EXPECT_EQ(refreshed, 1);
  EXPECT_EQ(world.run({"logout"}), kDone);
  EXPECT_EQ(api().error().code, "NotSignedIn");
}

TEST_F(SessionTest, ALoginThatFailsIsNotStored) {
  token_is(401, {{"error", "invalid_client"}});
  EXPECT_EQ(world.run({"login", "--endpoint", server.endpoint, "--client-id", "app"}), kFailed);
  EXPECT_FALSE(std::filesystem::exists(world.directory + "/.merlon/config.json"));
}

TEST_F(SessionTest, BootstrapFileIsAllThatALoginNeeds) {
  const std::string ca = world.environment["MERLON_CA"];
  const std::string path = world.write("bootstrap.json", to_text(JsonObject{{"tenantId", "tenant"},
                                                                            {"clientId", "boot"},
                                                                            {"clientSecret", "b00t"},
                                                                            {"endpoint", server.endpoint},
                                                                            {"caFile", ca}}));
  world.environment = {{"HOME", world.directory}};
  ASSERT_EQ(world.run({"login", "--bootstrap", path, "--output", "json"}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(), testing::Not(HasSubstr("b00t")));
  std::filesystem::remove(ca);  // the authority went into the login
  EXPECT_EQ(world.run({"machine", "list"}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(), HasSubstr("web-1"));
}

TEST_F(SessionTest, TheTenantIsAskedForWhenItIsNotGiven) {
  world.environment.erase("MERLON_TENANT");
  server.on("GET /metadata/endpoints", [](const net::Request&) {
    net::Response response;
    response.body = R"([{"authentication":{"tenant":"tenant"}}])";
    return response;
  });
  EXPECT_EQ(world.run({"login", "--endpoint", server.endpoint, "--client-id", "app"}), kDone)
      << world.err.str();
  server.on("GET /metadata/endpoints", JsonObject());
  EXPECT_EQ(world.run({"login", "--endpoint", server.endpoint, "--client-id", "app"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("--tenant"));
}

TEST_F(SessionTest, AServerOfAnotherAuthorityIsNotTrusted) {
  const net::test::Authority other("Other");
  world.environment["MERLON_CA"] = world.write("other.pem", other.certificate_pem());
  const auto refused = api()->get("/x", "1");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "ServerNotTrusted");
  EXPECT_THAT(server.requests(kToken), SizeIs(0));
}

TEST_F(SessionTest, ListsGoOnOverPagesOfTheSameServerAlone) {
  server.on("GET /list", [&](const net::Request& request) {
    JsonObject page = list_of({JsonObject{{"n", 1}}});
    if (request.query.find("page") == nullptr) page["nextLink"] = server.endpoint + "/list?page=2";
    return json_answer(200, page);
  });
  const auto all = api()->list("/list", "1");
  ASSERT_TRUE(all.has_value());
  EXPECT_THAT(all->at("value").get_array(), SizeIs(2));
  for (const char* name : {"nextLink", "@odata.nextLink"}) {
    JsonObject page = list_of({});
    page[name] = "https://evil.example/list";
    server.on("GET /list", page);
    EXPECT_EQ(api()->list("/list", "1").error().code, "ForeignLink");
  }
}

TEST_F(SessionTest, AMachineIsFoundByItsNameWhenOnlyOneHasIt) {
  const auto found = api()->machine("WEB-1", {});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->vm_id,
            "/subscriptions/sub/resourceGroups/web/providers/Microsoft.Compute/virtualMachines/web-1");
  EXPECT_EQ(api()->machine("web-2", {}).error().code, "MachineNotFound");
  server.on(kMachines, list_of({Server::machine("web", "web-1"), Server::machine("db", "web-1")}));
  const auto ambiguous = api()->machine("web-1", {});
  ASSERT_FALSE(ambiguous.has_value());
  EXPECT_TRUE(is_wrong_usage(ambiguous.error()));
  EXPECT_THAT(ambiguous.error().message, HasSubstr("web, db"));
  EXPECT_EQ(api()->machine("web-1", "db")->group, "db");
  server.on(kMachines, [](const net::Request&) { return refusal(403, "AuthorizationFailed", "No."); });
  EXPECT_THAT(api()->machine("web-1", {}).error().message, HasSubstr("--resource-group"));
}

TEST(Paths, NamesCannotLeaveTheirPlace) {
  EXPECT_EQ(part("a/../b?c"), "a%2F..%2Fb%3Fc");
  EXPECT_EQ(scope_path("/").value(), "");
  EXPECT_EQ(scope_path("/subscriptions/s/resourceGroups/a b").value(),
            "/subscriptions/s/resourceGroups/a%20b");
  EXPECT_TRUE(is_wrong_usage(scope_path("web").error()));
  EXPECT_EQ(quoted_term("O'Brien"), "%27O%27%27Brien%27");
}

}  // namespace
}  // namespace merlon::cli
