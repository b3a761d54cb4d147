// What a request to the authorization endpoint must look like, and who is told when it does not: the client
// only once its redirect URI is known to be its own.
#include "identity/authorize_request.h"

#include "identity/test_browser.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;

TEST(RedirectUri, ExactButForThePortOfALoopback) {
  const RedirectUri native{"http://localhost", RedirectKind::public_client};
  for (const char* good :
       {"http://localhost", "http://localhost/", "http://localhost:1", "http://localhost:65535/"})
    EXPECT_TRUE(redirect_uri_matches(native, good)) << good;
  for (const char* bad : {"http://localhost:0",
                          "http://localhost:65536",
                          "http://localhost:",
                          "http://localhost:80x",
                          "http://localhost/x",
                          "http://localhost?x=y",
                          "https://localhost",
                          "http://LOCALHOST",
                          "HTTP://localhost",
                          "http://127.0.0.1",
                          "http://localhost.evil.example",
                          "http://localhost@evil.example/",
                          "http://localhost:80@evil.example/",
                          "http://localhost#x",
                          "http://localhost\\@evil.example",
                          "http://localhost/%2e%2e/x",
                          "http://localhost/..",
                          "//localhost",
                          "localhost",
                          "",
                          "http:localhost",
                          "http:///localhost",
                          "http://localhost /",
                          "http://localhost\t"})
    EXPECT_FALSE(redirect_uri_matches(native, bad)) << bad;
  const RedirectUri path{"http://127.0.0.1/cb?x=1", RedirectKind::public_client};
  EXPECT_TRUE(redirect_uri_matches(path, "http://127.0.0.1:7/cb?x=1"));
  EXPECT_FALSE(redirect_uri_matches(path, "http://127.0.0.1:7/cb"));
  EXPECT_FALSE(redirect_uri_matches(path, "http://127.0.0.1:7/cb?x=1&y=2"));
}

TEST(RedirectUri, AWebApplicationsIsComparedByteByByte) {
  const RedirectUri web{"https://app.example/callback", RedirectKind::web};
  EXPECT_TRUE(redirect_uri_matches(web, "https://app.example/callback"));
  for (const char* bad :
       {"https://app.example/callback/", "https://app.example/Callback", "https://APP.example/callback",
        "https://app.example:443/callback", "https://app.example/callback?x",
        "https://app.example/callback#x", "https://app.example//callback", "https://app.example/%63allback",
        "https://app.example/callback%2f..", "https://app.example@evil.example/callback",
        "https://evil.example/callback", "http://app.example/callback"})
    EXPECT_FALSE(redirect_uri_matches(web, bad)) << bad;
  EXPECT_FALSE(redirect_uri_matches({"http://localhost", RedirectKind::web}, "http://localhost:8080"));
}

TEST(RedirectUri, WhatMayBeRegistered) {
  const auto problem = [](const std::string& uri, RedirectKind kind = RedirectKind::public_client) {
    return redirect_uri_problem({uri, kind}).has_value();
  };
  for (const char* good :
       {"https://app.example/cb", "http://localhost", "http://[::1]:80/x", "com.example.app:/cb",
        "msal6c2f0c5e-0000-4000-8000-000000000001://auth", "https://app.example:8443/cb?x=y"})
    EXPECT_FALSE(problem(good)) << good;
  for (const char* bad :
       {"http://app.example/cb", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd",
        "https://*.example/cb", "https://app.example/cb#x", "https://u:p@app.example/",
        "https://app.example/../x", "https://app.example/%2E%2e/x", "https://app.example/%2Fx", "https://",
        "about:blank", "vbscript:x", "blob:https://x/", "/cb", "HTTPS://app.example/"})
    EXPECT_TRUE(problem(bad)) << bad;
  EXPECT_TRUE(problem("com.example.app:/cb", RedirectKind::web));
  EXPECT_TRUE(problem("https://app.example/" + std::string(300, 'x')));
}

class AuthorizeRequestTest : public BrowserTest {
 protected:
  // What the client is told; nothing when it is told nothing and a page is shown instead.
  std::string told(const Form& changes) {
    const net::Response response = browser.get(authorize(changes));
    const std::string to(response.headers.value_or("Location", ""));
    if (to.empty()) {
      EXPECT_EQ(response.status, 400) << response.body;
      return {};
    }
    EXPECT_THAT(to, ::testing::StartsWith(kRedirect));
    const size_t at = to.find("error=") + 6;
    return to.substr(at, to.find('&', at) - at);
  }
};

TEST_F(AuthorizeRequestTest, NobodyIsSentToAnAddressThatIsNotRegistered) {
  for (const char* uri :
       {"https://evil.example/", "http://localhost:8400/evil", "http://localhost@evil.example/",
        "http://localhost:8400/#", "javascript:alert(1)", "//evil.example", ""})
    EXPECT_EQ(told({{"redirect_uri", uri}}), "") << uri;
  EXPECT_EQ(told({{"client_id", "99999999-9999-4999-8999-999999999999"}}), "");
  EXPECT_EQ(told({{"client_id", "x"}}), "");
  EXPECT_EQ(told({{"client_id", ""}}), "");
}

// The pages of bastions are at names that come and go: of this domain, at this port, at one path.
TEST_F(AuthorizeRequestTest, ABastionsPageIsSentBackToItsOwnNameAlone) {
  const std::string port = std::string(World::kOrigin).substr(std::string("https://merlon.localhost").size());
  const auto status = [&](const std::string& uri, const char* client = kBastionPagesAppId) {
    return browser.get(authorize({{"client_id", client}, {"redirect_uri", uri}})).status;
  };
  const std::string good = "https://bst-1.bastion.merlon.localhost" + port + "/signed-in";
  EXPECT_EQ(status(good), 200);
  EXPECT_EQ(status(good, kAzureCliAppId), 400);
  for (const std::string& bad :
       {"http://bst-1.bastion.merlon.localhost" + port + "/signed-in",
        std::string("https://bst-1.bastion.merlon.localhost:1/signed-in"), good + "/", good + "?x=1",
        good + "#x", "https://bst-1.bastion.merlon.localhost" + port + "/",
        "https://bastion.merlon.localhost" + port + "/signed-in",
        "https://.bastion.merlon.localhost" + port + "/signed-in",
        "https://a.b.bastion.merlon.localhost" + port + "/signed-in",
        "https://bst-1.bastion.merlon.localhost.evil.example" + port + "/signed-in",
        "https://evil.example" + port + "/signed-in",
        "https://bst-1.bastion.merlon.localhost@evil.example" + port + "/signed-in",
        "https://evilbastion.merlon.localhost" + port + "/signed-in", std::string("http://localhost")})
    EXPECT_EQ(status(bad), 400) << bad;
}

TEST_F(AuthorizeRequestTest, TheClientIsToldWhatIsWrongWithTheRest) {
  EXPECT_EQ(told({{"response_type", "token"}}), "unsupported_response_type");
  EXPECT_EQ(told({{"response_type", "code token"}}), "unsupported_response_type");
  EXPECT_EQ(told({{"response_type", ""}}), "invalid_request");
  EXPECT_EQ(told({{"code_challenge", ""}, {"code_challenge_method", ""}}), "invalid_request");
  EXPECT_EQ(told({{"code_challenge_method", ""}}), "invalid_request");
  EXPECT_EQ(told({{"code_challenge_method", "plain"}}), "invalid_request");
  EXPECT_EQ(told({{"code_challenge", "short"}}), "invalid_request");
  EXPECT_EQ(told({{"prompt", "dance"}}), "invalid_request");
  EXPECT_EQ(told({{"max_age", "-1"}}), "invalid_request");
  EXPECT_EQ(told({{"max_age", std::string(40, '9')}}), "invalid_request");
  EXPECT_EQ(told({{"scope", ""}}), "invalid_request");
  EXPECT_EQ(told({{"scope", "https://nobody.example/.default"}}), "invalid_resource");
  EXPECT_EQ(told({{"request", "a.b.c"}}), "invalid_request");
}

TEST_F(AuthorizeRequestTest, AParameterThatIsThereTwiceIsRefused) {
  for (const char* twice : {"&redirect_uri=https%3A%2F%2Fevil.example%2F", "&CLIENT_ID=x", "&state=2"}) {
    const net::Response response = browser.get(authorize() + twice);
    EXPECT_EQ(response.status, 400) << twice;
    EXPECT_EQ(response.headers.value_or("Location", "none"), "none");
  }
  EXPECT_EQ(
      world.post_form(world.v2(), {{"grant_type", "authorization_code"}, {"Grant_Type", "password"}}).status,
      400);
}

TEST_F(AuthorizeRequestTest, AnotherTenantAndOtherMethodsAreRefused) {
  EXPECT_EQ(browser.get("/22222222-2222-4222-8222-222222222222/oauth2/v2.0/authorize?client_id=x").status,
            400);
  EXPECT_EQ(world.send("PUT", authorize())->status, 400);
  EXPECT_EQ(browser.post(authorize(), {{"form", std::string(70'000, 'x')}}).status, 400);
}

TEST_F(AuthorizeRequestTest, AStrangersApplicationLearnsWhoIsThereAndGetsNothingOfOurs) {
  World::App app = world.make_app("web");
  world.write([&](store::Transaction& tx) {
    app.application = *store::get<Application>(tx, world.tenant, app.application.id.text()).value();
    app.application.redirect_uris = {{"https://app.example/cb", RedirectKind::web}};
    return world.directory->update_application(tx, app.application);
  });
  const Form web{{"client_id", app.application.app_id.text()},
                 {"redirect_uri", "https://app.example/cb"},
                 {"code_challenge", ""},
                 {"code_challenge_method", ""}};
  Form openid = web;
  openid.emplace_back("scope", "openid profile offline_access");
  sign_in();
  const net::Response refused = browser.get(authorize(web));
  EXPECT_THAT(std::string(refused.headers.value_or("Location", "")), HasSubstr("error=invalid_grant"));
  EXPECT_THAT(std::string(refused.headers.value_or("Location", "")), HasSubstr("AADSTS65001"));
  const Form at_token{{"client_id", app.application.app_id.text()},
                      {"client_secret", app.secret},
                      {"redirect_uri", "https://app.example/cb"},
                      {"code_verifier", ""}};
  const net::Response given = redeem(code_of(browser.get(authorize(openid))), at_token);
  ASSERT_EQ(given.status, 200) << given.body;
  const std::string access = *string_at(body_of(given), "access_token");
  EXPECT_EQ(string_at(claims_of(access), "aud"), app.application.app_id.text());
  EXPECT_FALSE(world.authenticate("Bearer " + access));
  EXPECT_FALSE(world.authenticate("Bearer " + access, Api::graph));
  // Nor by asking for more afterwards.
  const Form more{{"grant_type", "refresh_token"},
                  {"client_id", app.application.app_id.text()},
                  {"client_secret", app.secret},
                  {"refresh_token", *string_at(body_of(given), "refresh_token")},
                  {"scope", std::string(World::kManagement) + ".default"}};
  EXPECT_EQ(number_of(world.post_form(world.v2(), more)), 65001);
  Form with_scope = at_token;
  with_scope.emplace_back("scope", std::string(World::kManagement) + ".default");
  EXPECT_EQ(number_of(redeem(code_of(browser.get(authorize(openid))), with_scope)), 65001);
  // A verifier without a challenge: somebody took the challenge out of the request (RFC 9700 section 4.8.2).
  Form downgraded = at_token;
  std::erase_if(downgraded, [](const auto& field) { return field.first == "code_verifier"; });
  EXPECT_EQ(number_of(redeem(code_of(browser.get(authorize(openid))), downgraded)), 50148);
  world.write([&](store::Transaction& tx) {
    return world.directory->set_acts_for_users(tx, app.principal.id, true);
  });
  const net::Response consented = redeem(code_of(browser.get(authorize(web))), at_token);
  EXPECT_EQ(consented.status, 200);
  // Withdrawn, it counts from that moment on, for tokens that are out there as well.
  const std::string acting = "Bearer " + *string_at(body_of(consented), "access_token");
  EXPECT_TRUE(world.authenticate(acting));
  world.write([&](store::Transaction& tx) {
    return world.directory->set_acts_for_users(tx, app.principal.id, false);
  });
  EXPECT_FALSE(world.authenticate(acting));
  EXPECT_EQ(browser.get(authorize(openid)).status, 302) << "the browser itself stays signed in";
}

TEST_F(AuthorizeRequestTest, AdfsAsAzSendsIt) {
  std::string target = authorize({{"redirect_uri", "http://localhost:8400"}});
  target.replace(0, target.find('?'), "/adfs/oauth2/authorize");
  const net::Response response =
      browser.submit(browser.get(target), password_form("alice@merlon.localhost", kPassword));
  EXPECT_EQ(response.status, 303);
  EXPECT_THAT(std::string(response.headers.value_or("Location", "")),
              ::testing::StartsWith("http://localhost:8400?code="));
}

}  // namespace
}  // namespace merlon::identity
