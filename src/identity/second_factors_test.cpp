// Second factors from end to end in this room: enrolled over Graph, asked for by the pages, refused to a
// password alone; what must not work.
#include <gmock/gmock.h>

#include "identity/second_factor_sign_in.h"
#include "identity/second_factors.h"
#include "identity/test_browser.h"
#include "identity/totp.h"

namespace merlon::identity {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class SecondFactorTest : public BrowserTest {
 protected:
  using Answer = std::pair<int, JsonObject>;

  Answer graph(const std::string& method, const std::string& path, const std::string& token,
               const JsonObject& body = {}) {
    const auto response =
        world.send(method, "/v1.0/" + path, body.empty() ? std::string() : to_text(body),
                   {{"Authorization", "Bearer " + token}, {"Content-Type", "application/json"}});
    EXPECT_TRUE(response);
    if (!response) return {};
    return {response->status, response->body.empty() ? JsonObject() : body_of(*response)};
  }
  std::string challenge(const std::string& method, const std::string& path, const std::string& token) {
    const auto response = world.send(method, "/v1.0/" + path, {}, {{"Authorization", "Bearer " + token}});
    return response ? std::string(response->headers.value_or("WWW-Authenticate", "")) : std::string();
  }
  std::string token_of(const std::string& code) {
    const net::Response response = redeem(code);
    EXPECT_EQ(response.status, 200) << response.body;
    return string_at(body_of(response), "access_token").value_or("");
  }
  net::Response password_grant() {
    return world.post_form(world.v2(), {{"grant_type", "password"},
                                        {"client_id", kAzureCliAppId},
                                        {"username", "alice@merlon.localhost"},
                                        {"password", kPassword},
                                        {"scope", std::string(World::kManagement) + ".default"}});
  }
  SecondFactors factors() { return {*world.seal, world.tenant, world.clock, world.random}; }
  std::vector<TotpMethod> stored() {
    return world.read<std::vector<TotpMethod>>(
        [&](store::Reader& reader) { return store::scan_all<TotpMethod>(reader, world.tenant); });
  }
  std::string code(int64_t steps_ahead = 0) {
    return totp_code(secret_, totp_step(world.clock.now()) + steps_ahead);
  }
  // Alice has an app from here on, as if she had enrolled it with a token of a password; her recovery codes.
  std::vector<std::string> enrol() {
    auto made = world.write<SecondFactors::Enrolment>(
        [&](store::Transaction& tx) { return factors().enrol(tx, alice.id, "Phone"); });
    id_ = made.method.id.text();
    secret_ = made.secret;
    const auto codes = world.write<std::vector<std::string>>(
        [&](store::Transaction& tx) -> Result<std::vector<std::string>> {
          TRY(factors().confirm(tx, alice.id, made.method.id, code()));
          return factors().make_recovery_codes(tx, alice.id);
        });
    world.clock.advance(std::chrono::seconds(30));
    return codes;
  }
  net::Response ask(Browser& at) {
    return at.submit(at.get(authorize()), password_form("alice@merlon.localhost", kPassword));
  }
  static Form code_form(const std::string& typed) { return {{"do", "second-factor"}, {"code", typed}}; }

  Secret secret_;
  std::string id_;
  Browser second{world};  // one that nobody has signed in with
};

TEST_F(SecondFactorTest, TheFirstOneTakesAFreshSignInToo) {
  const std::string token = token_of(sign_in());
  world.clock.advance(std::chrono::minutes(16));
  const auto [status, refused] =
      graph("POST", "me/authentication/merlon.totp", token, {{"displayName", "a thief's"}});
  EXPECT_EQ(status, 401);
  EXPECT_THAT(string_at(refused, "error.message").value_or(""), HasSubstr("not older than 15 minutes"));
  EXPECT_TRUE(stored().empty());
}

TEST_F(SecondFactorTest, EnrolledOverGraph) {
  const std::string token = token_of(sign_in());
  const auto [status, made] =
      graph("POST", "me/authentication/merlon.totp", token, {{"displayName", "Phone"}});
  ASSERT_EQ(status, 201) << to_text(made);
  id_ = string_at(made, "id").value_or("");
  const auto method = world.read<std::optional<TotpMethod>>(
      [&](store::Reader& reader) { return store::get<TotpMethod>(reader, world.tenant, id_); });
  ASSERT_TRUE(method);
  secret_ = must(world.seal->open("identity_totp_methods/" + id_ + "/secret/1", method->sealed));
  EXPECT_EQ(string_at(made, "secretKey"), base32(secret_.expose()));
  EXPECT_EQ(password_grant().status, 200) << "it is not asked for before its first code";
  const auto [done, body] =
      graph("POST", "me/authentication/merlon.totp/" + id_ + "/confirm", token, {{"code", code()}});
  EXPECT_EQ(done, 200) << to_text(body);
  ASSERT_NE(array_at(body, "recoveryCodes"), nullptr);
  EXPECT_EQ(array_at(body, "recoveryCodes")->size(), 10U);
  // What a password gave before changes no methods any more.
  EXPECT_EQ(graph("POST", "me/authentication/merlon.totp", token, {{"displayName", "x"}}).first, 401);
  EXPECT_EQ(graph("DELETE", "me/authentication/softwareOathMethods/" + id_, token).first, 401);
  EXPECT_EQ(graph("POST", "me/authentication/merlon.recoveryCodes", token).first, 401);
  EXPECT_EQ(stored().size(), 1U);
  EXPECT_EQ(number_of(password_grant()), 50076);
}

TEST_F(SecondFactorTest, ThePageAsksForItAndTheTokenSaysSo) {
  EXPECT_EQ(enrol().size(), 10U);
  const net::Response page = ask(second);
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("authenticator app"));
  EXPECT_EQ(second.cookie(std::string("__Host-merlon-session")), "") << "no session before the second factor";
  const JsonObject claims = claims_of(token_of(code_of(second.submit(page, code_form(code())))));
  const auto amr = array_at(claims, "amr");
  ASSERT_NE(amr, nullptr);
  EXPECT_EQ(to_text(*amr), R"(["pwd","otp","mfa"])");
  const auto signed_in = world.entries("Merlon.Identity/sessions/signIn");
  ASSERT_FALSE(signed_in.empty());
  EXPECT_THAT(to_text(signed_in.back().details), HasSubstr("mfa"));
}

TEST_F(SecondFactorTest, APasswordAloneGetsNoTokenAndChangesNothing) {
  enrol();
  EXPECT_EQ(number_of(password_grant()), 50076);
  const net::Response changed =
      world.post_form("/adfs/portal/updatepassword", {{"UserName", "alice@merlon.localhost"},
                                                      {"OldPassword", kPassword},
                                                      {"NewPassword", "another Horse 8"},
                                                      {"ConfirmNewPassword", "another Horse 8"}});
  EXPECT_EQ(number_of(changed), 50076);
}

TEST_F(SecondFactorTest, ACodeIsGoodOnceOnEveryServer) {
  enrol();
  const std::string typed = code();
  EXPECT_NE(code_of(second.submit(ask(second), code_form(typed))), "");
  world.reopen();
  Browser other(world);
  const net::Response again = other.submit(ask(other), code_form(typed));
  EXPECT_EQ(again.status, 400);
  EXPECT_THAT(again.body, HasSubstr("used before"));
  // Nor one of an earlier step, though its time is not over.
  EXPECT_EQ(other.submit(again, code_form(code(-1))).status, 400);
  EXPECT_THAT(world.entries("Merlon.Identity/sessions/signIn"),
              Contains(::testing::Field(&ledger::Entry::reason, "AADSTS500121")));
}

TEST_F(SecondFactorTest, TheConfirmingCodeSignsNobodyIn) {
  enrol();
  world.clock.advance(-std::chrono::seconds(30));
  EXPECT_EQ(second.submit(ask(second), code_form(code())).status, 400);
}

TEST_F(SecondFactorTest, GuessesAreSlowedDownEvenWhenOneIsRight) {
  enrol();
  net::Response page = ask(second);
  for (int i = 0; i < 6; ++i) page = second.submit(page, code_form("000000"));
  EXPECT_EQ(page.status, 400);
  page = second.submit(page, code_form(code()));
  EXPECT_EQ(page.status, 429);
  // From elsewhere too: the account is counted.
  world.peer = *IpAddress::parse("198.51.100.7");
  Browser other(world);
  page = other.submit(ask(other), code_form(code()));
  EXPECT_EQ(page.status, 429);
  world.clock.advance(std::chrono::seconds(2));
  EXPECT_NE(code_of(other.submit(page, code_form(code()))), "");
}

TEST_F(SecondFactorTest, ARecoveryCodeIsGoodOnceAndStoredAsADigest) {
  const auto codes = enrol();
  ASSERT_EQ(codes.size(), 10U);
  for (const auto& row : world.read<std::vector<store::Row>>([&](store::Reader& reader) {
         return reader.scan(RecoveryCode::table(), world.tenant,
                            {.prefix = {}, .after = {}, .after_key = {}});
       }))
    EXPECT_THAT(row.key + row.body, Not(HasSubstr(codes[0])));
  const JsonObject claims = claims_of(token_of(code_of(second.submit(ask(second), code_form(codes[0])))));
  EXPECT_EQ(to_text(*array_at(claims, "amr")), R"(["pwd","mfa"])");
  Browser other(world);
  EXPECT_EQ(other.submit(ask(other), code_form(codes[0])).status, 400);
  EXPECT_EQ(world.entries("Merlon.Identity/recoveryCodes/use").size(), 1U);
  std::string lower = codes[1];
  for (char& c : lower) c = static_cast<char>(std::tolower(c));
  EXPECT_NE(code_of(other.submit(ask(other), code_form(lower))), "");
}

TEST_F(SecondFactorTest, TicketsAreForOneBrowserOnePasswordAndAFewMinutes) {
  enrol();
  const net::Response page = ask(second);
  Browser thief(world);
  thief.get(authorize());
  EXPECT_EQ(thief.submit(page, code_form(code())).status, 400);
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_password(tx, alice.id, "x", false); });
  EXPECT_THAT(second.submit(page, code_form(code())).body, HasSubstr("Please sign in again"));
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_password(tx, alice.id, hash(), false); });
  const net::Response late = ask(second);
  world.clock.advance(std::chrono::minutes(11));
  EXPECT_THAT(second.submit(late, code_form(code())).body, HasSubstr("Please sign in again"));
}

TEST_F(SecondFactorTest, ThePasswordIsChangedAfterTheSecondFactor) {
  enrol();
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_password(tx, alice.id, hash(), true); });
  net::Response page = ask(second);
  EXPECT_THAT(page.body, HasSubstr("authenticator app"));
  // A form for the change without its ticket, or with the second factor's, changes nothing.
  EXPECT_EQ(second
                .submit(page, {{"do", "change-password"},
                               {"new-password", "another Horse 8"},
                               {"confirm-password", "another Horse 8"}})
                .status,
            400);
  page = second.submit(ask(second), code_form(code()));
  EXPECT_THAT(page.body, HasSubstr("Change your password"));
  const std::string given = code_of(second.submit(page, {{"do", "change-password"},
                                                         {"new-password", "another Horse 8"},
                                                         {"confirm-password", "another Horse 8"}}));
  EXPECT_EQ(to_text(*array_at(claims_of(token_of(given)), "amr")), R"(["pwd","otp","mfa"])");
}

TEST_F(SecondFactorTest, AnOldTokenChangesNoMethods) {
  enrol();
  const std::string token = token_of(code_of(second.submit(ask(second), code_form(code()))));
  EXPECT_EQ(graph("POST", "me/authentication/merlon.recoveryCodes", token).first, 201);
  world.clock.advance(std::chrono::minutes(16));
  EXPECT_EQ(graph("POST", "me/authentication/merlon.recoveryCodes", token).first, 401);
  const std::string asked = challenge("POST", "me/authentication/merlon.recoveryCodes", token);
  EXPECT_THAT(asked, HasSubstr("error=\"insufficient_claims\", claims=\""));
  EXPECT_THAT(asked, HasSubstr("authorization_uri=\"https://"));
  EXPECT_EQ(stored().size(), 1U);
}

TEST_F(SecondFactorTest, TheLastMethodTakesTheRecoveryCodesWithIt) {
  enrol();
  const std::string token = token_of(code_of(second.submit(ask(second), code_form(code()))));
  EXPECT_EQ(graph("DELETE", "me/authentication/softwareOathMethods/" + id_, token).first, 204);
  EXPECT_EQ(graph("DELETE", "me/authentication/softwareOathMethods/" + id_, token).first, 404);
  EXPECT_EQ(world.read<size_t>(
                [&](store::Reader& reader) { return factors().recovery_codes_left(reader, alice.id); }),
            0U);
  EXPECT_EQ(password_grant().status, 200);
}

TEST_F(SecondFactorTest, NobodyTouchesAnothersMethods) {
  enrol();
  world.make_user("bob@merlon.localhost", hash());
  Browser at_bobs(world);
  const std::string bob = token_of(
      code_of(at_bobs.submit(at_bobs.get(authorize()), password_form("bob@merlon.localhost", kPassword))));
  const std::string path = "users/" + alice.id.text() + "/authentication/";
  EXPECT_EQ(graph("GET", path + "methods", bob).first, 403);
  EXPECT_EQ(graph("DELETE", path + "softwareOathMethods/" + id_, bob).first, 403);
  EXPECT_EQ(graph("DELETE", "me/authentication/softwareOathMethods/" + id_, bob).first, 404);
  EXPECT_EQ(graph("POST", "me/authentication/merlon.totp/" + id_ + "/confirm", bob, {{"code", code()}}).first,
            404);
  EXPECT_EQ(graph("POST", path + "merlon.reset", bob).first, 403);
  EXPECT_EQ(stored().size(), 1U);
}

TEST_F(SecondFactorTest, AnAdministratorResetsAndEverySessionEnds) {
  const std::string session = world.make_session(alice);
  enrol();
  const std::string admin = world.token(world.make_admin("admin"));
  const std::string path = "users/" + alice.id.text() + "/authentication/";
  const auto [status, list] = graph("GET", path + "methods", admin);
  EXPECT_EQ(status, 200);
  EXPECT_EQ(array_at(list, "value")->size(), 2U);
  EXPECT_THAT(to_text(list), Not(HasSubstr(base32(secret_.expose()))));
  EXPECT_EQ(graph("POST", path + "merlon.reset", admin).first, 204);
  EXPECT_TRUE(stored().empty());
  EXPECT_FALSE(world
                   .read<std::optional<Session>>([&](store::Reader& reader) {
                     return store::get<Session>(reader, world.tenant, session);
                   })
                   .has_value());
  EXPECT_EQ(password_grant().status, 200);
  EXPECT_EQ(world.entries("Merlon.Identity/authenticationMethods/reset").size(), 1U);
}

TEST_F(SecondFactorTest, AnEnrolmentWaitsAQuarterOfAnHour) {
  const std::string token = token_of(sign_in());
  const auto enrolled = world.write<SecondFactors::Enrolment>(
      [&](store::Transaction& tx) { return factors().enrol(tx, alice.id, "Phone"); });
  const std::string path = "me/authentication/merlon.totp/" + enrolled.method.id.text() + "/confirm";
  EXPECT_EQ(graph("POST", path, token, {{"code", "000000"}}).first, 400);
  world.clock.advance(std::chrono::minutes(15));
  secret_ = enrolled.secret;
  EXPECT_EQ(graph("POST", path, token, {{"code", code()}}).first, 404);
  EXPECT_EQ(password_grant().status, 200);
}

TEST_F(SecondFactorTest, TheSecretIsSealed) {
  enrol();
  for (const TotpMethod& method : stored()) {
    EXPECT_THAT(method.sealed, Not(HasSubstr(base32(secret_.expose()))));
    EXPECT_THAT(method.sealed, Not(HasSubstr(to_base64(secret_.expose()))));
  }
  world.write([&](store::Transaction& tx) { return world.directory->erase_user(tx, alice.id); });
  EXPECT_TRUE(stored().empty());
}

}  // namespace
}  // namespace merlon::identity
