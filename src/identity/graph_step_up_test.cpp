// Where step-up policies stand, a change in the directory that lets somebody in takes a fresh second factor:
// else whoever has an old token of an administrator goes on as a program, which has none and is asked for
// none.
#include "identity/graph.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;

class GraphStepUpTest : public ::testing::Test {
 protected:
  GraphStepUpTest() {
    world.write([&](store::Transaction& tx) {
      return world.directory->add_directory_role(tx, *Uuid::parse(kGlobalAdministrator), person.id);
    });
    world.endpoints->ask_fresh_where([this](store::Reader&) -> Result<bool> { return guarded; });
  }
  std::string bearer(std::vector<std::string> amr, Duration age) {
    TokenSubject subject;
    subject.principal.object_id = person.id;
    subject.principal.kind = PrincipalKind::user;
    subject.principal.app_id = *Uuid::parse(kAzureCliAppId);
    subject.principal.amr = std::move(amr);
    subject.principal.auth_time = world.clock.now() - age;
    subject.audience = "https://graph.microsoft.com";
    subject.session_id = world.make_session(person);
    return "Bearer " + must(world.issuer->issue(subject, World::kOrigin, std::chrono::hours(1)));
  }
  net::Response call(const std::string& authorization, const std::string& method, const std::string& path,
                     const JsonObject& body = {}) {
    return *world.send(method, "/v1.0/" + path, method == "GET" || method == "DELETE" ? "" : to_text(body),
                       {{"Authorization", authorization}, {"Content-Type", "application/json"}});
  }
  net::Response add_secret(const std::string& authorization) {
    return call(authorization, "POST", "applications/" + app.application.id.text() + "/addPassword",
                {{"passwordCredential", JsonObject{{"displayName", "way in"}}}});
  }

  World world;
  World::App app = world.make_app("target");
  World::App admin = world.make_admin("admin");
  User person = world.make_user("ada@merlon.localhost");
  bool guarded = true;
  const std::string stale = bearer({"pwd", "mfa"}, std::chrono::minutes(16));
  const std::string single = bearer({"pwd"}, std::chrono::minutes(1));
  const std::string fresh = bearer({"pwd", "mfa"}, std::chrono::minutes(1));
};

TEST_F(GraphStepUpTest, WhatLetsSomebodyInTakesAFreshSecondFactor) {
  for (const std::string& token : {stale, single}) {
    const net::Response refused = add_secret(token);
    EXPECT_EQ(refused.status, 401) << refused.body;
    EXPECT_THAT(refused.headers.value_or("WWW-Authenticate", ""), HasSubstr("insufficient_claims"));
  }
  EXPECT_EQ(add_secret(fresh).status, 200);
  EXPECT_EQ(add_secret("Bearer " + world.token(admin)).status, 200) << "a program has no second factor";
  guarded = false;
  EXPECT_EQ(add_secret(stale).status, 200);
}

TEST_F(GraphStepUpTest, EveryChangeThatIsNotOnlyATakingAwayAsks) {
  size_t asked = 0;
  for (const GraphRoute& route : graph_routes()) {
    if (route.write == nullptr || route.permission == GraphPermission::write_self) continue;
    std::string path(route.pattern);
    for (size_t at = path.find('{'); at != std::string::npos; at = path.find('{'))
      path.replace(at, path.find('}') - at + 1, app.application.id.text());
    const net::Response response = call(stale, std::string(route.method), path);
    const bool asks = response.status == 401;
    EXPECT_EQ(asks, route.opens_a_way()) << route.method << " " << route.pattern << " " << response.body;
    if (!asks) EXPECT_TRUE(route.method == "DELETE" || route.only_takes) << route.pattern;
    asked += asks ? 1U : 0U;
  }
  EXPECT_GE(asked, 15U);
}

// The owner of an application that holds roles, with a token that is old.
TEST_F(GraphStepUpTest, AnOwnerIsAskedToo) {
  const User owner = world.make_user("eve@merlon.localhost");
  world.write(
      [&](store::Transaction& tx) { return world.directory->add_owner(tx, app.application.id, owner.id); });
  person = owner;
  EXPECT_EQ(add_secret(bearer({"pwd"}, std::chrono::minutes(1))).status, 401);
  EXPECT_EQ(add_secret(bearer({"pwd", "mfa"}, std::chrono::minutes(1))).status, 200);
}

}  // namespace
}  // namespace merlon::identity
