// Passkeys from end to end in this room: added on their page, used instead of a password, and everything that
// must not work. The authenticator is in software; Chromium's own is in tests/sdk.
#include "identity/passkeys.h"

#include "identity/cookies.h"
#include "identity/passkey_scripts.h"
#include "identity/second_factors.h"
#include "identity/test_authenticator.h"
#include "identity/test_browser.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PasskeyTest : public BrowserTest {
 protected:
  void SetUp() override { device.user_handle = user_handle_of(alice.id); }

  static std::string hidden_of(const net::Response& page, const std::string& name) {
    const size_t at = page.body.find("name=\"" + name + "\" value=\"");
    EXPECT_NE(at, std::string::npos) << name << " is not on " << page.body;
    if (at == std::string::npos) return {};
    const size_t start = at + name.size() + 15;
    return page.body.substr(start, page.body.find('"', start) - start);
  }
  // What the script puts into the fields, in place of the empty ones.
  static net::Response send(Browser& at, const net::Response& page, const Form& filled) {
    Form form;
    for (const char* name : {"form", "ticket", "do"}) form.emplace_back(name, hidden_of(page, name));
    form.insert(form.end(), filled.begin(), filled.end());
    const size_t action = page.body.find("action=\"") + 8;
    std::string target = page.body.substr(action, page.body.find('"', action) - action);
    for (size_t amp = target.find("&amp;"); amp != std::string::npos; amp = target.find("&amp;"))
      target.replace(amp, 5, "&");
    return at.post(target, form);
  }
  net::Response sign_in_at_passkeys() {
    return browser.submit(browser.get("/passkeys"), password_form("alice@merlon.localhost", kPassword));
  }
  Form registration(const net::Response& page) {
    const Bytes challenge = *from_base64url(hidden_of(page, "challenge"));
    return {{"name", "Phone"},
            {"client", to_base64url(device.client_data("webauthn.create", challenge))},
            {"attestation", to_base64url(device.attestation())}};
  }
  Form assertion(const net::Response& page) {
    const Bytes challenge = *from_base64url(hidden_of(page, "challenge"));
    const Bytes client = device.client_data("webauthn.get", challenge);
    const Bytes data = device.authenticator_data(false);
    return {{"credential", to_base64url(as_bytes(device.credential))},
            {"client", to_base64url(client)},
            {"authenticator", to_base64url(data)},
            {"signature", to_base64url(device.sign(data, client))},
            {"handle", to_base64url(device.user_handle)}};
  }
  void enrol() {
    const net::Response page = sign_in_at_passkeys();
    const net::Response done = send(browser, page, registration(page));
    EXPECT_THAT(done.body, HasSubstr("The passkey is added"));
  }
  net::Response ask(Browser& at) { return at.submit(at.get(authorize()), {{"do", "use-passkey"}}); }
  std::vector<Passkey> stored() {
    return world.read<std::vector<Passkey>>(
        [&](store::Reader& reader) { return store::scan_all<Passkey>(reader, world.tenant); });
  }

  TestAuthenticator device;
  Browser second{world};
};

TEST_F(PasskeyTest, AddedOnItsPageAndUsedWithoutAPassword) {
  const net::Response page = sign_in_at_passkeys();
  EXPECT_EQ(page.status, 200);
  const std::string policy(page.headers.value_or("Content-Security-Policy", ""));
  EXPECT_THAT(policy, HasSubstr("script-src 'sha256-" +
                                to_base64(crypto::sha256(as_bytes(kMakePasskeyScript))) + "'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  const net::Response done = send(browser, page, registration(page));
  EXPECT_EQ(done.status, 200) << done.body;
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(stored().front().name, "Phone");

  const net::Response asked = ask(second);
  EXPECT_EQ(asked.status, 200) << asked.body;
  const net::Response back = send(second, asked, assertion(asked));
  const net::Response redeemed = redeem(code_of(back));
  ASSERT_EQ(redeemed.status, 200) << redeemed.body;
  const JsonObject claims = claims_of(string_at(body_of(redeemed), "access_token").value_or(""));
  EXPECT_EQ(to_text(*array_at(claims, "amr")), R"(["fido","mfa"])");
  EXPECT_EQ(string_at(claims, "oid"), alice.id.text());
}

TEST_F(PasskeyTest, ThePasswordAloneIsNotEnoughAnyMore) {
  enrol();
  const net::Response page =
      second.submit(second.get(authorize()), password_form("alice@merlon.localhost", kPassword));
  EXPECT_THAT(page.body, HasSubstr("Use a passkey"));
  EXPECT_EQ(second.cookie(std::string(kSessionCookie)), "");
}

TEST_F(PasskeyTest, AnAnswerIsGoodOnceAndForItsBrowser) {
  enrol();
  const net::Response asked = ask(second);
  const Form answer = assertion(asked);
  EXPECT_NE(code_of(send(second, asked, answer)), "");
  EXPECT_EQ(send(second, asked, answer).status, 400) << "the same answer again";
  Browser thief(world);
  thief.get(authorize());
  EXPECT_EQ(send(thief, asked, answer).status, 400);
  const net::Response late = ask(thief);
  world.clock.advance(std::chrono::minutes(5));
  EXPECT_EQ(send(thief, late, assertion(late)).status, 400);
}

TEST_F(PasskeyTest, ACountThatDoesNotGrowIsACopys) {
  device.count = 10;
  enrol();
  device.count = 11;
  net::Response asked = ask(second);
  EXPECT_NE(code_of(send(second, asked, assertion(asked))), "");
  Browser other(world);
  for (const uint32_t count : {11U, 5U, 0U}) {
    device.count = count;
    asked = ask(other);
    EXPECT_EQ(send(other, asked, assertion(asked)).status, 400) << count;
  }
  device.count = 12;
  asked = ask(other);
  EXPECT_NE(code_of(send(other, asked, assertion(asked))), "");
}

TEST_F(PasskeyTest, WhatMustNotSignAnybodyIn) {
  enrol();
  const auto refused = [&](const char* what) {
    const net::Response asked = ask(second);
    EXPECT_EQ(send(second, asked, assertion(asked)).status, 400) << what;
    EXPECT_EQ(second.cookie(std::string(kSessionCookie)), "") << what;
  };
  const TestAuthenticator right = device;
  device.user_handle = user_handle_of(world.make_user("bob@merlon.localhost").id);
  refused("another person's handle");
  device = right;
  device.user_handle = {};
  refused("no handle");
  device = right;
  device.credential = "credential-0002";
  refused("a credential that is not known");
  device = right;
  device.origin = "https://evil.example";
  refused("another origin");
  device = right;
  device.flags = 0x01;
  refused("nobody verified");
  device = TestAuthenticator();
  device.user_handle = right.user_handle;
  refused("another key");
  EXPECT_FALSE(world.entries("Merlon.Identity/sessions/signIn").empty());
}

TEST_F(PasskeyTest, ADisabledPersonStaysOut) {
  enrol();
  world.write([&](store::Transaction& tx) -> Result<void> {
    auto user = TRY(store::get<User>(tx, world.tenant, alice.id.text()));
    user->enabled = false;
    return store::put(tx, world.tenant, *user);
  });
  const net::Response asked = ask(second);
  EXPECT_THAT(send(second, asked, assertion(asked)).body, HasSubstr("disabled"));
}

TEST_F(PasskeyTest, AddingTakesAFreshSignInAndItsOwnQuestion) {
  const net::Response page = sign_in_at_passkeys();
  Form form = registration(page);
  for (auto& [name, value] : form)
    if (name == "client") value = to_base64url(device.client_data("webauthn.create", Bytes(32, 1)));
  EXPECT_EQ(send(browser, page, form).status, 400);
  EXPECT_TRUE(stored().empty());
  world.clock.advance(std::chrono::minutes(16));
  EXPECT_THAT(browser.get("/passkeys").body, HasSubstr("Please sign in again"));
  const net::Response again = sign_in_at_passkeys();
  EXPECT_EQ(send(browser, again, registration(again)).status, 200);
  const net::Response twice = browser.get("/passkeys");
  EXPECT_THAT(twice.body, HasSubstr("Please sign in again")) << "a password's session is not enough any more";
  EXPECT_EQ(stored().size(), 1U);
}

TEST_F(PasskeyTest, TheSignInPageOffersIt) {
  EXPECT_THAT(browser.get(authorize()).body, HasSubstr("Use a passkey"));
}

}  // namespace
}  // namespace merlon::identity
