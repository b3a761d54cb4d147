// merlon login in a browser, logout, sessions: what is asked of the server, what is kept, what is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/test_world.h"

namespace merlon::cli::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

net::Response oauth_refusal(const std::string& error, const std::string& description) {
  return json_answer(400, {{"error", error}, {"error_description", description}});
}

// An id_token of form alone: who reads it does not verify it.
std::string id_token(const std::string& name) {
  const auto encoded = [](const JsonObject& json) { return to_base64url(as_bytes(to_text(json))); };
  return encoded({{"alg", "RS256"}}) + "." + encoded({{"preferred_username", name}}) + "." +
         to_base64url(as_bytes(std::string_view("signature")));
}

class SignInTest : public ::testing::Test {
 protected:
  SignInTest() {
    for (const char* name : {"MERLON_ENDPOINT", "MERLON_CLIENT_ID", "MERLON_CLIENT_SECRET"})
      world.environment.erase(name);
    server.on("POST /tenant/oauth2/v2.0/devicecode",
              JsonObject{{"device_code", "the-device-code"},
                         {"user_code", "BCDF-GHJK"},
                         {"verification_uri", server.endpoint + "/devicelogin"},
                         {"interval", 1},
                         {"expires_in", 900}});
    server.on("POST /tenant/oauth2/v2.0/token", [this](const net::Request& request) {
      if (request.body.find("device_code") == std::string::npos)
        return oauth_refusal("invalid_grant", "AADSTS50173: The provided grant has expired.");
      if (pending-- > 0) return oauth_refusal("authorization_pending", "AADSTS70016: pending");
      return last;
    });
  }
  int log_in() { return world.run({"login", "--server", server.endpoint}); }

  World world;
  Server server{world};
  int pending = 1;
  net::Response last = json_answer(200, {{"access_token", "t1"},
                                         {"refresh_token", "r1"},
                                         {"id_token", id_token("ada@merlon.example")},
                                         {"expires_in", 3599}});
};

TEST_F(SignInTest, InABrowser) {
  EXPECT_EQ(log_in(), kDone) << world.err.str();
  EXPECT_THAT(world.err.str(), HasSubstr("/devicelogin"));
  EXPECT_THAT(world.err.str(), HasSubstr("BCDF-GHJK"));
  EXPECT_THAT(world.out.str(), HasSubstr("as ada@merlon.example"));
  EXPECT_THAT(world.out.str() + world.err.str(), Not(HasSubstr("the-device-code")));
  EXPECT_EQ(server.requests("POST /tenant/oauth2/v2.0/token").size(), 2U);
  server.on("GET /v1.0/merlon.sessions", list_of({JsonObject{{"id", "s1"}, {"kind", "device_code"}}}));
  EXPECT_EQ(world.run({"session", "list"}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(), HasSubstr("s1"));
  ASSERT_EQ(server.requests("GET /v1.0/merlon.sessions").size(), 1U);
  EXPECT_EQ(server.requests("GET /v1.0/merlon.sessions")[0].headers.value_or("Authorization", ""),
            "Bearer t1");
}

TEST_F(SignInTest, DeclinedOrMalformedSignsNobodyIn) {
  pending = 0;
  last = oauth_refusal("authorization_declined", "AADSTS65004: The user declined the sign-in.");
  EXPECT_EQ(log_in(), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("declined"));
  last = json_answer(200, {{"access_token", "t1"}, {"expires_in", 3599}});
  EXPECT_EQ(log_in(), kFailed);
  EXPECT_EQ(world.run({"session", "list"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("merlon login"));
}

TEST_F(SignInTest, LoggingOutEndsTheSessionAtTheServerToo) {
  pending = 0;
  ASSERT_EQ(log_in(), kDone) << world.err.str();
  server.on("POST /tenant/oauth2/v2.0/revoke", JsonObject{});
  EXPECT_EQ(world.run({"logout"}), kDone);
  const auto asked = server.requests("POST /tenant/oauth2/v2.0/revoke");
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_THAT(asked[0].body, HasSubstr("token=r1"));
  EXPECT_EQ(world.run({"logout"}), kDone);
  EXPECT_THAT(world.out.str(), HasSubstr("You were not signed in."));
  // Without the server the tokens go all the same, and it is said.
  ASSERT_EQ(log_in(), kDone);
  server.on("POST /tenant/oauth2/v2.0/revoke",
            [](const net::Request&) { return oauth_refusal("server_error", "AADSTS90020: Broken."); });
  EXPECT_EQ(world.run({"logout"}), kDone);
  EXPECT_THAT(world.err.str(), HasSubstr("could not be ended"));
  EXPECT_EQ(world.run({"session", "list"}), kFailed);
}

TEST_F(SignInTest, RevokingWantsOneThing) {
  EXPECT_EQ(world.run({"session", "revoke"}), kWrongUsage);
  EXPECT_EQ(world.run({"session", "revoke", "s1", "--user", "ada"}), kWrongUsage);
  EXPECT_EQ(world.run({"admin", "rotate-signing-key", "--now", "--compromised"}), kWrongUsage);
  EXPECT_EQ(world.run({"app", "create", "--name", "x", "--public", "--secret"}), kWrongUsage);
}

}  // namespace
}  // namespace merlon::cli::test
