// The browser's side: the sign-in page, the code that it gives, what the code is good for, and everything
// that must not work.
#include "crypto/digest.h"
#include "crypto/password.h"
#include "identity/codes.h"
#include "identity/cookies.h"
#include "identity/test_browser.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class WebSignInTest : public BrowserTest {
 protected:
  void register_redirect(const RedirectUri& redirect) {
    world.write([&](store::Transaction& tx) -> Result<void> {
      auto application =
          TRY(world.directory->application_by_app_id(tx, *Uuid::parse(kAzureCliAppId))).value();
      application.redirect_uris.push_back(redirect);
      return world.directory->update_application(tx, application);
    });
  }
  // An application at a name of its own: nobody else answers there.
  Form at_home() {
    register_redirect({"https://app.example/cb", RedirectKind::web});
    return {{"redirect_uri", "https://app.example/cb"}};
  }
};

TEST_F(WebSignInTest, ThePageIsLockedDown) {
  const net::Response page = browser.get(authorize());
  EXPECT_EQ(page.status, 200) << page.body;
  const std::string policy(page.headers.value_or("Content-Security-Policy", ""));
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(policy, HasSubstr("base-uri 'none'"));
  EXPECT_THAT(policy, HasSubstr("form-action 'self' http://localhost:8400"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("script-src")));
  EXPECT_EQ(page.headers.value_or("X-Frame-Options", ""), "DENY");
  EXPECT_EQ(page.headers.value_or("Cache-Control", ""), "no-store");
  EXPECT_EQ(page.headers.value_or("Content-Type", ""), "text/html; charset=utf-8");
  EXPECT_THAT(page.body, Not(HasSubstr("<script")));
  EXPECT_THAT(page.body, HasSubstr("Azure CLI"));
  for (const auto& [name, value] : page.headers.all())
    if (name == "Set-Cookie") {
      EXPECT_THAT(value, ::testing::StartsWith("__Host-"));
      EXPECT_THAT(value, HasSubstr("; Path=/; Secure; HttpOnly; SameSite=Lax"));
    }
}

TEST_F(WebSignInTest, WhatStrangersSayIsShownAsText) {
  const std::string nasty = "\"><script>alert(1)</script>";
  const net::Response page = browser.get(authorize({{"login_hint", nasty}}));
  EXPECT_THAT(page.body, Not(HasSubstr("<script")));
  EXPECT_THAT(page.body, HasSubstr("&lt;script&gt;"));
  const net::Response refused = browser.get(authorize({{"redirect_uri", "https://x/" + nasty}}));
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, Not(HasSubstr("<script")));
}

TEST_F(WebSignInTest, FromThePageToATokenAndItsEnd) {
  const std::string code = sign_in();
  const net::Response response = redeem(code);
  ASSERT_EQ(response.status, 200) << response.body;
  const JsonObject body = body_of(response);
  const std::string bearer = "Bearer " + *string_at(body, "access_token");
  const auto principal = world.authenticate(bearer);
  ASSERT_TRUE(principal) << principal.error().message;
  EXPECT_EQ(principal->object_id, alice.id);
  const JsonObject id_token = claims_of(*string_at(body, "id_token"));
  EXPECT_EQ(string_at(id_token, "nonce"), "n-1");
  EXPECT_EQ(string_at(id_token, "aud"), kAzureCliAppId);
  ASSERT_TRUE(string_at(body, "refresh_token"));
  // Ending the browser's session as an administrator ends what it allowed.
  const auto sessions = all_sessions();
  ASSERT_EQ(sessions.size(), 2U);
  const auto parent = std::ranges::find(sessions, std::string("browser"), &Session::method);
  ASSERT_NE(parent, sessions.end());
  world.write([&](store::Transaction& tx) { return end_session(tx, world.tenant, parent->id); });
  EXPECT_FALSE(world.authenticate(bearer));
  EXPECT_TRUE(all_sessions().empty());
  EXPECT_EQ(number_of(refresh(*string_at(body, "refresh_token"))), 70000);
}

TEST_F(WebSignInTest, ACodeIsUsedOnceAndTheSecondUseEndsWhatTheFirstGave) {
  const std::string code = sign_in();
  const JsonObject body = body_of(redeem(code));
  const std::string bearer = "Bearer " + string_at(body, "access_token").value_or("");
  ASSERT_TRUE(world.authenticate(bearer));
  EXPECT_EQ(number_of(redeem(code)), 54005);
  EXPECT_FALSE(world.authenticate(bearer));
  EXPECT_NE(number_of(refresh(*string_at(body, "refresh_token"))), 0);
  EXPECT_EQ(world.entries("Merlon.Identity/sessions/revoke").size(), 1U);
}

TEST_F(WebSignInTest, ACodeIsBoundToClientRedirectAndVerifier) {
  const std::string code = sign_in();
  EXPECT_EQ(number_of(redeem(code, {{"redirect_uri", "http://localhost:8401/"}})), 500112);
  EXPECT_EQ(number_of(redeem(code, {{"redirect_uri", ""}})), 500112);
  EXPECT_EQ(number_of(redeem(code, {{"code_verifier", std::string(43, 'x')}})), 50148);
  EXPECT_EQ(number_of(redeem(code, {{"code_verifier", ""}})), 50148);
  const World::App other = world.make_app("other");
  EXPECT_EQ(number_of(redeem(
                code, {{"client_id", other.application.app_id.text()}, {"client_secret", other.secret}})),
            70000);
  EXPECT_EQ(redeem(code).status, 200);
  world.clock.advance(std::chrono::minutes(1));
  const std::string late = click();
  world.clock.advance(std::chrono::minutes(5));
  EXPECT_EQ(number_of(redeem(late)), 70008);
  EXPECT_EQ(number_of(redeem("unknown")), 70000);
}

TEST_F(WebSignInTest, CodesAndCookiesAreStoredAsDigests) {
  const std::string code = sign_in();
  const std::string cookie = browser.cookie(std::string(kSessionCookie));
  ASSERT_EQ(cookie.size(), 43U);
  for (const auto* table : {&AuthorizationCode::table(), &Session::table()})
    for (const auto& row : world.read<std::vector<store::Row>>([&](store::Reader& reader) {
           return reader.scan(*table, world.tenant, {.prefix = {}, .after = {}, .after_key = {}});
         })) {
      EXPECT_THAT(row.key + row.body, Not(HasSubstr(code)));
      EXPECT_THAT(row.key + row.body, Not(HasSubstr(cookie)));
    }
}

TEST_F(WebSignInTest, RevocationReachesACodeInFlight) {
  const std::string code = sign_in();
  world.write(
      [&](store::Transaction& tx) { return revoke_sessions(tx, world.tenant, alice.id, world.random); });
  EXPECT_EQ(number_of(redeem(code)), 70000);
  EXPECT_FALSE(knows(browser));
}

TEST_F(WebSignInTest, OneSignInServesManyApplications) {
  sign_in();
  const Form home = at_home();
  const auto web = [&](const Form& changes) { return browser.get(authorize(changed(home, changes))); };
  EXPECT_EQ(web({}).status, 302);
  EXPECT_EQ(web({{"prompt", "none"}}).status, 302);
  EXPECT_EQ(web({{"prompt", "login"}}).status, 200);
  EXPECT_EQ(web({{"login_hint", "bob@merlon.localhost"}}).status, 200);
  world.clock.advance(std::chrono::seconds(30));
  EXPECT_EQ(web({{"max_age", "10"}}).status, 200);
  const net::Response choice = browser.get(authorize({{"prompt", "select_account"}}));
  EXPECT_EQ(choice.status, 200);
  EXPECT_THAT(choice.body, HasSubstr("Continue as alice@merlon.localhost"));
  EXPECT_EQ(browser.submit(choice, {{"do", "continue"}}).status, 303);
  world.clock.advance(std::chrono::hours(9));
  EXPECT_EQ(web({}).status, 200);
  EXPECT_FALSE(knows(browser));
}

// Anybody with an account on the machine of the person's browser listens on a port of it, and sends them
// there.
TEST_F(WebSignInTest, AnApplicationOnOnesOwnMachineTakesAClick) {
  sign_in();
  for (const char* uri : {kRedirect, "http://127.0.0.1:9999/"}) {
    const Form link{{"redirect_uri", uri}};
    const net::Response page = browser.get(authorize(link));
    EXPECT_EQ(page.status, 200) << uri;
    EXPECT_EQ(page.headers.value_or("Location", "none"), "none") << uri;
    EXPECT_THAT(page.body, HasSubstr("to continue to Azure CLI"));
    EXPECT_THAT(page.body, HasSubstr("Continue as alice@merlon.localhost"));
    const net::Response silent = browser.get(authorize(changed(link, {{"prompt", "none"}})));
    EXPECT_THAT(std::string(silent.headers.value_or("Location", "")),
                HasSubstr("error=interaction_required"));
    // The click is the person's: no other page makes it for them, and no other form.
    EXPECT_EQ(browser.submit(page, {{"do", "continue"}}, {{"Origin", "https://evil.example"}}).status, 400);
    EXPECT_EQ(browser.submit(page, {{"do", "continue"}}, {{"Sec-Fetch-Site", "cross-site"}}).status, 400);
    EXPECT_EQ(browser.post(authorize(link), {{"do", "continue"}, {"form", "1999999999.eA.AAAA"}}).status,
              400);
    const net::Response given = browser.submit(page, {{"do", "continue"}});
    EXPECT_EQ(given.status, 303);
    EXPECT_THAT(std::string(given.headers.value_or("Location", "")), ::testing::StartsWith(uri));
    EXPECT_FALSE(code_of(given).empty());
  }
  register_redirect({"com.example.app:/cb", RedirectKind::public_client});
  EXPECT_EQ(browser.get(authorize({{"redirect_uri", "com.example.app:/cb"}})).status, 200);
}

TEST_F(WebSignInTest, SilentRequestsAndCancelledOnesAreToldToTheClient) {
  const net::Response silent = browser.get(authorize({{"prompt", "none"}}));
  EXPECT_EQ(silent.status, 302);
  const std::string to(silent.headers.value_or("Location", ""));
  EXPECT_THAT(to, ::testing::StartsWith("http://localhost:8400/?error=login_required&"));
  EXPECT_THAT(to, HasSubstr("&state=s%261&iss="));
  const net::Response cancelled = browser.submit(browser.get(authorize()), {{"do", "cancel"}});
  EXPECT_THAT(std::string(cancelled.headers.value_or("Location", "")), HasSubstr("error=access_denied"));
}

TEST_F(WebSignInTest, ResponseModes) {
  sign_in();
  const auto clicked = [&](const std::string& mode) {
    return browser.submit(browser.get(authorize({{"response_mode", mode}})), {{"do", "continue"}});
  };
  EXPECT_THAT(std::string(clicked("fragment").headers.value_or("Location", "")),
              ::testing::StartsWith("http://localhost:8400/#code="));
  const net::Response posted = clicked("form_post");
  EXPECT_EQ(posted.status, 200);
  EXPECT_THAT(posted.body, HasSubstr("action=\"http://localhost:8400/\""));
  EXPECT_THAT(posted.body, HasSubstr("name=\"state\" value=\"s&amp;1\""));
  EXPECT_THAT(std::string(posted.headers.value_or("Content-Security-Policy", "")),
              HasSubstr("script-src 'sha256-"));
}

TEST_F(WebSignInTest, WrongPasswordsLookAlikeAndAreSlowedDown) {
  const net::Response page = browser.get(authorize());
  const net::Response wrong = browser.submit(page, password_form("alice@merlon.localhost", "wrong"));
  const net::Response unknown = browser.submit(page, password_form("nobody@merlon.localhost", "wrong"));
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(unknown.status, 400);
  EXPECT_THAT(wrong.body, HasSubstr("The user name or the password is wrong."));
  EXPECT_THAT(unknown.body, HasSubstr("The user name or the password is wrong."));
  EXPECT_EQ(wrong.headers.value_or("Location", "none"), "none");
  for (int i = 0; i < 9; ++i) browser.submit(page, password_form("alice@merlon.localhost", "wrong"));
  EXPECT_EQ(browser.submit(page, password_form("alice@merlon.localhost", kPassword)).status, 429);
  EXPECT_FALSE(world.entries("Merlon.Identity/sessions/signIn").empty());
}

TEST_F(WebSignInTest, AFormThatWasNotMadeForThisBrowserDoesNothing) {
  const Form good = password_form("alice@merlon.localhost", kPassword);
  const net::Response page = browser.get(authorize());
  Browser victim(world);  // an attacker's form, in another browser: sign-in CSRF
  victim.get(authorize());
  EXPECT_EQ(victim.submit(page, good).status, 400);
  EXPECT_EQ(Browser(world).submit(page, good).status, 400);  // no cookie at all
  EXPECT_EQ(browser.submit(page, good, {{"Origin", "https://evil.example"}}).status, 400);
  EXPECT_EQ(browser.submit(page, good, {{"Origin", "null"}}).status, 400);
  EXPECT_EQ(browser.submit(page, good, {{"Sec-Fetch-Site", "cross-site"}}).status, 400);
  Form forged = good;
  forged.emplace_back("form", "1999999999.eA.AAAA");
  EXPECT_EQ(browser.post(authorize(), forged).status, 400);
  // Nor does a form for one address work at another.
  EXPECT_EQ(browser.submit(page, good, {}, authorize({{"state", "other"}})).status, 400);
  EXPECT_TRUE(all_sessions().empty());
  world.clock.advance(std::chrono::hours(2));
  EXPECT_EQ(browser.submit(page, good).status, 400);
  EXPECT_TRUE(all_sessions().empty());
  EXPECT_EQ(browser.submit(browser.get(authorize()), good, {{"Origin", World::kOrigin}}).status, 303);
}

TEST_F(WebSignInTest, SigningInGivesANewCookieAndEndsTheOldSession) {
  sign_in();
  const std::string first = browser.cookie(std::string(kSessionCookie));
  browser.submit(browser.get(authorize({{"prompt", "login"}})),
                 password_form("alice@merlon.localhost", kPassword));
  EXPECT_NE(browser.cookie(std::string(kSessionCookie)), first);
  EXPECT_EQ(all_sessions().size(), 1U);
  Browser thief(world);
  thief.set_cookie(std::string(kSessionCookie), first);
  EXPECT_FALSE(knows(thief));
  EXPECT_TRUE(knows(browser));
}

TEST_F(WebSignInTest, AnExpiredPasswordIsChangedOnThePage) {
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_password(tx, alice.id, hash(), true); });
  const net::Response page =
      browser.submit(browser.get(authorize()), password_form("alice@merlon.localhost", kPassword));
  EXPECT_THAT(page.body, HasSubstr("Change your password"));
  EXPECT_TRUE(all_sessions().empty());
  const auto change = [&](const std::string& text, const std::string& again) {
    return browser.submit(page,
                          {{"do", "change-password"}, {"new-password", text}, {"confirm-password", again}});
  };
  EXPECT_EQ(change("weak", "weak").status, 400);
  EXPECT_EQ(change("much Better 1", "other Better 1").status, 400);
  EXPECT_THAT(change(kPassword, kPassword).body, HasSubstr("differ"));
  EXPECT_EQ(change("much Better 1", "much Better 1").status, 303);
  EXPECT_EQ(change("much Better 2", "much Better 2").status, 400);  // the ticket was for the old password
  EXPECT_EQ(all_sessions().size(), 1U);
}

TEST_F(WebSignInTest, SigningOutIsAskedAndThenDone) {
  sign_in();
  const std::string logout = "/" + world.tenant.text() + "/oauth2/v2.0/logout";
  const net::Response question = browser.get(logout);
  EXPECT_THAT(question.body, HasSubstr("Sign out?"));
  EXPECT_EQ(all_sessions().size(), 1U);
  EXPECT_EQ(browser.submit(question, {{"do", "sign-out"}}, {{"Origin", "https://evil.example"}}).status, 200);
  EXPECT_EQ(all_sessions().size(), 1U);
  EXPECT_THAT(browser.submit(question, {{"do", "sign-out"}}).body, HasSubstr("Signed out"));
  EXPECT_TRUE(all_sessions().empty());
  EXPECT_FALSE(knows(browser));
}

TEST_F(WebSignInTest, ADisabledOrRemovedUserHasNoBrowserSession) {
  sign_in();
  world.write([&](store::Transaction& tx) { return world.directory->set_enabled(tx, alice.id, false); });
  EXPECT_FALSE(knows(browser));
  EXPECT_TRUE(all_sessions().empty());
}

}  // namespace
}  // namespace merlon::identity
