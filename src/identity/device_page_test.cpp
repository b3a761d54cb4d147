// Device codes: from the device's question to its token, and everything that must not work.
#include "identity/device_page.h"

#include <set>

#include "base/text.h"
#include "identity/test_browser.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DevicePageTest : public BrowserTest {
 protected:
  JsonObject ask(const std::string& path = "/adfs/oauth2/devicecode") {
    const net::Response response = world.post_form(
        path, {{"client_id", kAzureCliAppId},
               {"scope", std::string(World::kManagement) + "/.default offline_access openid profile"}});
    EXPECT_EQ(response.status, 200) << response.body;
    return body_of(response);
  }
  net::Response poll(const JsonObject& device, const Form& changes = {}) {
    return world.post_form("/adfs/oauth2/token",
                           changed({{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"},
                                    {"client_id", kAzureCliAppId},
                                    {"device_code", string_at(device, "device_code").value_or("")},
                                    {"client_info", "1"}},
                                   changes));
  }
  static std::string error_of(const net::Response& response) {
    return response.status == 200 ? "none" : string_at(body_of(response), "error").value_or("");
  }
  // Signed in, and asked whether they started it.
  net::Response enter(const std::string& code) {
    net::Response page = browser.get("/devicelogin");
    if (page.body.find("name=\"password\"") != std::string::npos)
      page = browser.submit(page, password_form("alice@merlon.localhost", kPassword));
    return browser.submit(page, {{"do", "find-code"}, {"user_code", code}});
  }
};

TEST_F(DevicePageTest, FromTheQuestionToTheToken) {
  const JsonObject device = ask();
  const std::string code = *string_at(device, "user_code");
  EXPECT_EQ(code.size(), 9U);
  EXPECT_EQ(string_at(device, "verification_uri"), std::string(World::kOrigin) + "/devicelogin");
  EXPECT_EQ(int_at(device, "expires_in"), 900);
  EXPECT_EQ(int_at(device, "interval"), 5);
  EXPECT_THAT(*string_at(device, "message"), HasSubstr(code));
  EXPECT_EQ(error_of(poll(device)), "authorization_pending");
  EXPECT_EQ(error_of(poll(device)), "slow_down");
  world.clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(error_of(poll(device)), "authorization_pending");
  const net::Response question = enter(" " + ascii_lower(code) + " ");
  EXPECT_EQ(question.status, 200) << question.body;
  EXPECT_THAT(question.body, HasSubstr("Azure CLI"));
  EXPECT_THAT(question.body, HasSubstr("192.0.2.7 (your address)"));
  EXPECT_THAT(browser.submit(question, {{"do", "approve"}}).body, HasSubstr("Signed in"));
  const net::Response response = poll(device);
  ASSERT_EQ(response.status, 200) << response.body;
  const JsonObject body = body_of(response);
  EXPECT_TRUE(world.authenticate("Bearer " + *string_at(body, "access_token")));
  EXPECT_EQ(string_at(claims_of(*string_at(body, "id_token")), "upn"), "alice@merlon.localhost");
  EXPECT_TRUE(body.contains("client_info"));
  EXPECT_EQ(number_of(poll(device)), 70018);  // used up
  EXPECT_EQ(number_of(refresh(*string_at(body, "refresh_token"))), 0);
  EXPECT_EQ(world.entries("Merlon.Identity/deviceCodes/approve").size(), 1U);
}

TEST_F(DevicePageTest, DeclinedExpiredAndUnknown) {
  const JsonObject declined = ask();
  browser.submit(enter(*string_at(declined, "user_code")), {{"do", "decline"}});
  EXPECT_EQ(error_of(poll(declined)), "authorization_declined");
  const JsonObject late = ask();
  world.clock.advance(std::chrono::minutes(15));
  EXPECT_EQ(error_of(poll(late)), "expired_token");
  EXPECT_EQ(enter(*string_at(late, "user_code")).status, 400);
  EXPECT_EQ(number_of(poll(late, {{"device_code", "unknown"}})), 70018);
  EXPECT_EQ(number_of(poll(late, {{"device_code", ""}})), 900144);
}

TEST_F(DevicePageTest, AnotherClientCannotUseTheCode) {
  const JsonObject device = ask();
  browser.submit(enter(*string_at(device, "user_code")), {{"do", "approve"}});
  const World::App app = world.make_app("other");
  EXPECT_EQ(
      number_of(poll(device, {{"client_id", app.application.app_id.text()}, {"client_secret", app.secret}})),
      70018);
  EXPECT_EQ(poll(device).status, 200);
}

TEST_F(DevicePageTest, ConfidentialAndForeignApplicationsDoNotGetCodes) {
  const World::App app = world.make_app("web");
  const std::string scope = std::string(World::kManagement) + "/.default";
  EXPECT_EQ(number_of(world.post_form("/adfs/oauth2/devicecode",
                                      {{"client_id", app.application.app_id.text()}, {"scope", scope}})),
            7000218);
  Application wanted;
  wanted.display_name = "foreign";
  wanted.public_client = true;
  const auto foreign = world.write<std::pair<Application, ServicePrincipal>>(
      [&](store::Transaction& tx) { return world.directory->create_application(tx, wanted); });
  EXPECT_EQ(number_of(world.post_form("/adfs/oauth2/devicecode",
                                      {{"client_id", foreign.first.app_id.text()}, {"scope", scope}})),
            65001);
}

TEST_F(DevicePageTest, RevocationReachesADeviceCodeInFlight) {
  const JsonObject device = ask();
  browser.submit(enter(*string_at(device, "user_code")), {{"do", "approve"}});
  const auto sessions = all_sessions();
  ASSERT_EQ(sessions.size(), 1U);
  world.write([&](store::Transaction& tx) { return end_session(tx, world.tenant, sessions[0].id); });
  EXPECT_EQ(number_of(poll(device)), 70018);
}

TEST_F(DevicePageTest, CodesCannotBeGuessedOrForced) {
  const JsonObject device = ask();
  EXPECT_THAT(browser.get("/devicelogin").body, HasSubstr("name=\"password\""));  // signed in first
  for (int i = 0; i < 10; ++i) EXPECT_EQ(enter("BBBB-BBB" + std::string(1, "BCDFGHJKLM"[i])).status, 400);
  EXPECT_EQ(enter(*string_at(device, "user_code")).status, 429);
  world.clock.advance(std::chrono::minutes(1));
  const net::Response question = enter(*string_at(device, "user_code"));
  EXPECT_EQ(question.status, 200) << question.body;
  // The decision is bound to this browser and this code, and cannot come from elsewhere.
  EXPECT_EQ(browser.submit(question, {{"do", "approve"}}, {{"Origin", "https://evil.example"}}).status, 400);
  Browser other(world);
  other.get("/devicelogin");
  EXPECT_EQ(other.submit(question, {{"do", "approve"}}).status, 400);
  EXPECT_EQ(browser.post("/devicelogin", {{"do", "approve"}, {"ticket", "1.2.3"}}).status, 400);
  EXPECT_EQ(error_of(poll(device)), "authorization_pending");
}

TEST_F(DevicePageTest, UserCodesAreReadLeniently) {
  EXPECT_EQ(parse_user_code("bcdf-ghjk"), "BCDFGHJK");
  EXPECT_EQ(parse_user_code(" BCDF GHJK "), "BCDFGHJK");
  for (const char* bad : {"", "BCDF-GHJ", "BCDF-GHJKL", "BCDF-GHJ0", "BCDF-GHJA", "BCDF_GHJK"})
    EXPECT_FALSE(parse_user_code(bad)) << bad;
  EXPECT_FALSE(parse_user_code(std::string(1000, '-') + "BCDFGHJK"));
  std::set<std::string> drawn;
  for (int i = 0; i < 100; ++i) drawn.insert(make_user_code(world.random));
  EXPECT_EQ(drawn.size(), 100U);
  for (const std::string& code : drawn) EXPECT_EQ(parse_user_code(shown_user_code(code)), code);
}

TEST_F(DevicePageTest, TheVersion1Form) {
  const net::Response response = world.post_form(
      "/common/oauth2/devicecode", {{"client_id", kAzureCliAppId}, {"resource", World::kManagement}});
  const JsonObject body = body_of(response);
  EXPECT_EQ(string_at(body, "expires_in"), "900");
  EXPECT_TRUE(string_at(body, "verification_url"));
}

}  // namespace
}  // namespace merlon::identity
