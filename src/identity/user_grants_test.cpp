// People's sign-ins: password, refresh tokens and their theft, disabled and locked accounts, and the first
// password change.
#include "crypto/password.h"
#include "identity/sessions.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;

const char* const kPassword = "correct Horse 7";

class UserGrantsTest : public ::testing::Test {
 protected:
  // Argon2id takes long by intent: hashed once for all tests.
  static const std::string& hash() {
    static const std::string made = must(crypto::hash_password(Secret(std::string_view(kPassword))));
    return made;
  }
  World world;
  User alice = world.make_user("alice@merlon.localhost", hash());

  net::Response sign_in(const std::string& name, const std::string& password,
                        const std::string& target = "/adfs/oauth2/token") {
    return world.post_form(
        target, {{"grant_type", "password"},
                 {"client_id", kAzureCliAppId},
                 {"client_info", "1"},
                 {"username", name},
                 {"password", password},
                 {"scope", std::string(World::kManagement) + "/.default offline_access openid profile"}});
  }
  net::Response refresh(const std::string& token, const std::string& client = kAzureCliAppId) {
    return world.post_form("/adfs/oauth2/token", {{"grant_type", "refresh_token"},
                                                  {"client_id", client},
                                                  {"client_info", "1"},
                                                  {"refresh_token", token},
                                                  {"scope", std::string(World::kManagement) +
                                                                "/.default offline_access openid profile"}});
  }
  static std::string refresh_token_of(const net::Response& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    return string_at(body_of(response), "refresh_token").value_or("");
  }
  static int64_t number(const net::Response& response) {
    if (response.status == 200) return 0;
    return body_of(response).at("error_codes").as_array().at(0).as_int64();
  }
};

TEST_F(UserGrantsTest, WhatAzNeedsAfterAPasswordSignIn) {
  const net::Response response = sign_in("Alice@merlon.localhost", kPassword);
  ASSERT_EQ(response.status, 200) << response.body;
  const JsonObject body = body_of(response);
  const JsonObject id_token = claims_of(*string_at(body, "id_token"));
  EXPECT_EQ(string_at(id_token, "upn"), "alice@merlon.localhost");
  EXPECT_EQ(string_at(id_token, "tid"), world.tenant.text());
  EXPECT_EQ(string_at(id_token, "oid"), alice.id.text());
  EXPECT_EQ(string_at(id_token, "aud"), kAzureCliAppId);
  EXPECT_EQ(string_at(id_token, "iss"), std::string(World::kOrigin) + "/adfs");
  const JsonObject info = must(parse_json_object(as_text(*from_base64url(*string_at(body, "client_info")))));
  EXPECT_EQ(string_at(info, "uid"), alice.id.text());
  EXPECT_EQ(string_at(info, "utid"), world.tenant.text());
  EXPECT_THAT(*string_at(body, "scope"), HasSubstr(std::string(World::kManagement) + "/.default"));
  const auto principal = world.authenticate("Bearer " + *string_at(body, "access_token"));
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->kind, PrincipalKind::user);
  EXPECT_EQ(principal->object_id, alice.id);
  const auto entries = world.entries("Merlon.Identity/tokens/issue");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].resource, "/tenants/" + world.tenant.text() + "/users/" + alice.id.text());
  EXPECT_EQ(to_text(entries[0].details).find(kPassword), std::string::npos);
}

TEST_F(UserGrantsTest, WrongPasswordAndUnknownUserLookTheSame) {
  const net::Response wrong = sign_in("alice@merlon.localhost", "wrong");
  const net::Response unknown = sign_in("mallory@merlon.localhost", "wrong");
  EXPECT_EQ(number(wrong), 50126);
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.body, unknown.body);
  world.make_user("nopassword@merlon.localhost");
  EXPECT_EQ(sign_in("nopassword@merlon.localhost", "").status, 400);
  EXPECT_EQ(number(sign_in("nopassword@merlon.localhost", "no account has this")), 50126);
}

TEST_F(UserGrantsTest, DisabledIsToldOnlyToWhoKnowsThePassword) {
  world.write([&](store::Transaction& tx) { return world.directory->set_enabled(tx, alice.id, false); });
  EXPECT_EQ(number(sign_in("alice@merlon.localhost", kPassword)), 50057);
  EXPECT_EQ(number(sign_in("alice@merlon.localhost", "wrong")), 50126);
}

TEST_F(UserGrantsTest, GuessingIsSlowedDown) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(number(sign_in("alice@merlon.localhost", "guess")), 50126);
  EXPECT_EQ(number(sign_in("alice@merlon.localhost", kPassword)), 50053);
  world.clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(number(sign_in("alice@merlon.localhost", kPassword)), 0);
}

TEST_F(UserGrantsTest, OnlyOwnApisAndOnlyPublicOrProvenClients) {
  const World::App app = world.make_app("web");
  Form form{{"grant_type", "password"},
            {"client_id", app.application.app_id.text()},
            {"username", "alice@merlon.localhost"},
            {"password", kPassword},
            {"scope", "openid"}};
  EXPECT_EQ(number(world.post_form(world.v2(), form)), 7000218);
  form.emplace_back("client_secret", app.secret);
  EXPECT_EQ(number(world.post_form(world.v2(), form)), 0);
  form[4].second = app.application.app_id.text() + "/.default";
  EXPECT_EQ(number(world.post_form(world.v2(), form)), 0);  // for itself
  form[4].second = world.make_app("other").application.app_id.text() + "/.default";
  EXPECT_EQ(number(world.post_form(world.v2(), form)), 65001);
  form[4].second = "https://unknown.example/.default";
  EXPECT_EQ(number(world.post_form(world.v2(), form)), 500011);
}

TEST_F(UserGrantsTest, RefreshTokensRotateAndHaveOneOwner) {
  const std::string first = refresh_token_of(sign_in("alice@merlon.localhost", kPassword));
  ASSERT_EQ(first.size(), 43U);
  const net::Response response = refresh(first);
  const std::string second = refresh_token_of(response);
  EXPECT_NE(first, second);
  EXPECT_TRUE(world.authenticate("Bearer " + *string_at(body_of(response), "access_token")));
  EXPECT_TRUE(body_of(response).contains("id_token"));
  const World::App app = world.make_app("web");
  EXPECT_EQ(number(refresh(second, app.application.app_id.text())), 7000218);
  EXPECT_EQ(number(refresh("unknown")), 70000);
  EXPECT_EQ(number(refresh(second)), 0);
  // Only digests are stored.
  for (const auto& row : world.read<std::vector<store::Row>>([&](store::Reader& reader) {
         return reader.scan(RefreshToken::table(), world.tenant,
                            {.prefix = {}, .after = {}, .after_key = {}});
       }))
    EXPECT_EQ((row.key + row.body).find(second), std::string::npos);
}

TEST_F(UserGrantsTest, AReplayedRefreshTokenEndsTheWholeFamily) {
  const std::string first = refresh_token_of(sign_in("alice@merlon.localhost", kPassword));
  const std::string second = refresh_token_of(refresh(first));
  EXPECT_EQ(number(refresh(first)), 0);  // at once: another process of the same client
  world.clock.advance(std::chrono::seconds(61));
  EXPECT_EQ(number(refresh(first)), 70000);
  EXPECT_EQ(number(refresh(second)), 70000);
}

TEST_F(UserGrantsTest, RefreshEndsWithTimeRevocationAndPasswordChange) {
  std::string token = refresh_token_of(sign_in("alice@merlon.localhost", kPassword));
  world.clock.advance(std::chrono::hours(24) * 14);
  EXPECT_EQ(number(refresh(token)), 700082);
  token = refresh_token_of(sign_in("alice@merlon.localhost", kPassword));
  world.write([&](store::Transaction& tx) { return revoke_all_sessions(tx, world.tenant, world.random); });
  EXPECT_EQ(number(refresh(token)), 50173);
  token = refresh_token_of(sign_in("alice@merlon.localhost", kPassword));
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_password(tx, alice.id, hash(), false); });
  EXPECT_EQ(number(refresh(token)), 70000);
  token = refresh_token_of(sign_in("alice@merlon.localhost", kPassword));
  world.write([&](store::Transaction& tx) { return world.directory->set_enabled(tx, alice.id, false); });
  EXPECT_NE(number(refresh(token)), 0);
}

TEST_F(UserGrantsTest, RefreshingDoesNotGoOnForever) {
  std::string token = refresh_token_of(sign_in("alice@merlon.localhost", kPassword));
  int days = 0;
  for (; days < 200; days += 10) {
    world.clock.advance(std::chrono::hours(24) * 10);
    const net::Response response = refresh(token);
    if (response.status != 200) break;
    token = refresh_token_of(response);
  }
  EXPECT_EQ(days, 80);  // the ninth step reaches 90 days
}

class FirstSignInTest : public UserGrantsTest {
 protected:
  net::Response change(const std::string& name, const std::string& old_text, const std::string& new_text,
                       const std::string& confirmed) {
    return world.post_form("/adfs/portal/updatepassword", {{"UserName", name},
                                                           {"OldPassword", old_text},
                                                           {"NewPassword", new_text},
                                                           {"ConfirmNewPassword", confirmed}});
  }
};

TEST_F(FirstSignInTest, AnAdministratorsOneTimePasswordMustBeChanged) {
  const OneTimePassword once = must(make_one_time_password(world.random));
  EXPECT_FALSE(password_weakness(once.text.expose_text(), "root@merlon.localhost"));
  const User admin = world.write<User>([&](store::Transaction& tx) {
    return create_admin_user(tx, *world.directory, "root@merlon.localhost", "Root", once);
  });
  EXPECT_TRUE(world.read<bool>([&](store::Reader& reader) {
    return world.directory->has_directory_role(reader, *Uuid::parse(kGlobalAdministrator), admin.id);
  }));
  const std::string text(once.text.expose_text());
  const net::Response expired = sign_in("root@merlon.localhost", text);
  EXPECT_EQ(number(expired), 50055);
  EXPECT_EQ(string_at(body_of(expired), "suberror"), "user_password_expired");
  const std::string chosen = "a much Better 1";
  EXPECT_EQ(number(change("root@merlon.localhost", "wrong", chosen, chosen)), 50126);
  EXPECT_EQ(number(change("root@merlon.localhost", text, "weak", "weak")), 120000);
  EXPECT_EQ(number(change("root@merlon.localhost", text, text, text)), 120000);
  EXPECT_EQ(number(change("root@merlon.localhost", text, chosen, chosen + "x")), 120000);
  EXPECT_EQ(number(change("root@merlon.localhost", text, chosen, "")), 900144);
  EXPECT_EQ(change("root@merlon.localhost", text, chosen, chosen).status, 200);
  EXPECT_EQ(number(sign_in("root@merlon.localhost", text)), 50126);
  EXPECT_EQ(number(sign_in("root@merlon.localhost", chosen)), 0);
  bool entered = false;
  for (const auto& entry : world.entries("microsoft.directory/users/password/update"))
    entered =
        entered || (entry.decision == ledger::Decision::allowed && entry.actor.object_id == admin.id.text());
  EXPECT_TRUE(entered);
}

}  // namespace
}  // namespace merlon::identity
