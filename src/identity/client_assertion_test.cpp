// Client assertions as MSAL makes them, and each way to get one wrong or to steal one.
#include "identity/client_assertion.h"

#include "crypto/digest.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using crypto::SignatureAlgorithm;
using ::testing::HasSubstr;

class ClientAssertionTest : public ::testing::Test {
 protected:
  ClientAssertionTest() {
    certificate = self_signed(key);
    must(world.store->write([&](store::Transaction& tx) -> Result<void> {
      TRY(world.directory->add_certificate(tx, app.application.id, certificate));
      return {};
    }));
  }
  std::string self_signed(const crypto::PrivateKey& signer) {
    return must(crypto::make_self_signed({.common_name = "app",
                                          .dns_names = {},
                                          .addresses = {},
                                          .use = crypto::LeafUse::tls_client,
                                          .not_before = world.clock.now() - std::chrono::hours(1),
                                          .not_after = world.clock.now() + std::chrono::hours(48)},
                                         signer, world.random));
  }
  int64_t now() const {
    return std::chrono::floor<std::chrono::seconds>(world.clock.now()).time_since_epoch().count();
  }
  JsonObject claims(const std::string& jti = "one") const {
    return {{"aud", std::string(World::kOrigin) + world.v2()},
            {"iss", id},
            {"sub", id},
            {"jti", jti},
            {"iat", now()},
            {"exp", now() + 600}};
  }
  JsonObject with(const std::string& name, Json value) const {
    JsonObject changed = claims(name);
    changed[name] = std::move(value);
    return changed;
  }
  JsonObject with(const std::string& name, const std::string& value) const { return with(name, Json(value)); }
  std::string x5t() const { return to_base64url(crypto::sha1(must(crypto::certificate_der(certificate)))); }
  std::string sign(const JsonObject& payload, JsonObject header = {},
                   SignatureAlgorithm algorithm = SignatureAlgorithm::rs256) {
    header["typ"] = "JWT";
    return must(crypto::sign_jws(header, payload, algorithm, key));
  }
  net::Response ask(const std::string& assertion) {
    return world.post_form(
        world.v2(), {{"grant_type", "client_credentials"},
                     {"client_id", id},
                     {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
                     {"client_assertion", assertion},
                     {"scope", std::string(World::kManagement) + "/.default"}});
  }
  // 0 when a token was given.
  int64_t number(const std::string& assertion) {
    const net::Response response = ask(assertion);
    if (response.status == 200) return 0;
    EXPECT_EQ(response.status, 401) << response.body;
    return body_of(response).at("error_codes").as_array().at(0).as_int64();
  }

  World world;
  World::App app = world.make_app("app");
  const std::string id = app.application.app_id.text();
  // Finding primes takes long: one key for all tests.
  static const crypto::PrivateKey& shared_key() {
    static const crypto::PrivateKey made = must(crypto::PrivateKey::generate(crypto::KeyKind::rsa));
    return made;
  }
  const crypto::PrivateKey key = shared_key();
  std::string certificate;
};

TEST_F(ClientAssertionTest, AsTheLibrariesMakeThem) {
  // MSAL for Python pads x5t and writes times with fractions; MSAL for Node signs PS256 with x5t#S256.
  JsonObject fractions = claims("py");
  fractions["exp"] = static_cast<double>(now()) + 600.25;
  fractions["iat"] = static_cast<double>(now()) + 0.5;
  const net::Response response = ask(sign(fractions, {{"x5t", x5t() + "="}}));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(string_at(claims_of(*string_at(body_of(response), "access_token")), "appidacr"), "2");
  const std::string strong = to_base64url(crypto::sha256(must(crypto::certificate_der(certificate))));
  EXPECT_EQ(number(sign(claims("node"), {{"x5t#S256", strong}}, SignatureAlgorithm::ps256)), 0);
  EXPECT_EQ(number(sign(claims("bare"))), 0);
}

TEST_F(ClientAssertionTest, OurAudienceInEachOfItsForms) {
  int n = 0;
  for (const std::string path :
       {"/adfs/oauth2/token", "/adfs", "/common/oauth2/v2.0/token", "/common/v2.0"}) {
    JsonObject payload = claims("form" + std::to_string(n++));
    payload["aud"] = std::string(World::kOrigin) + path;
    EXPECT_EQ(number(sign(payload)), 0) << path;
  }
  JsonObject list = claims("list");
  list["aud"] = JsonArray{std::string(World::kOrigin) + "/" + world.tenant.text() + "/"};
  EXPECT_EQ(number(sign(list)), 0);
}

TEST_F(ClientAssertionTest, ForeignAudiences) {
  for (const std::string& audience :
       {std::string("https://evil.example") + world.v2(),
        std::string("https://merlon.localhost:9999") + world.v2(),
        "http://merlon.localhost:8443" + world.v2(), std::string(World::kOrigin) + "/other/oauth2/v2.0/token",
        std::string(World::kOrigin), std::string("api://AzureADTokenExchange"), std::string()})
    EXPECT_EQ(number(sign(with("aud", audience))), 700027) << audience;
  EXPECT_EQ(number(sign(with("aud", Json(nullptr)))), 700027);
  EXPECT_EQ(
      number(sign(with("aud", JsonArray{std::string(World::kOrigin) + world.v2(), "https://evil.example"}))),
      700027);
}

TEST_F(ClientAssertionTest, IssuerAndSubjectAreTheClient) {
  const std::string other = Uuid::generate(world.random).text();
  EXPECT_EQ(number(sign(with("iss", other))), 700027);
  EXPECT_EQ(number(sign(with("sub", other))), 700027);
  EXPECT_EQ(number(sign(with("iss", Json(nullptr)))), 700027);
}

TEST_F(ClientAssertionTest, Times) {
  EXPECT_EQ(number(sign(with("exp", now() - 301))), 700024);
  EXPECT_EQ(number(sign(with("exp", now() + 25 * 3600))), 700024);
  EXPECT_EQ(number(sign(with("exp", Json("soon")))), 700024);
  EXPECT_EQ(number(sign(with("exp", 1e300))), 700024);
  EXPECT_EQ(number(sign(with("exp", -1))), 700024);
  EXPECT_EQ(number(sign(with("nbf", now() + 600))), 700024);
  EXPECT_EQ(number(sign(with("nbf", Json("x")))), 700024);
  EXPECT_EQ(number(sign(with("iat", now() + 600))), 700024);
  EXPECT_EQ(number(sign(with("nbf", now() + 60))), 0);
}

TEST_F(ClientAssertionTest, SignaturesAndKeys) {
  const std::string good = sign(claims("sig"));
  for (size_t i = 0; i < good.size(); i += 31) {
    std::string tampered = good;
    tampered[i] = tampered[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(number(tampered), 700027) << i;
  }
  EXPECT_EQ(number("a.b.c"), 700027);
  EXPECT_EQ(number(sign(claims(), {{"x5t", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"}})), 700027);
  const auto stranger = must(crypto::PrivateKey::generate(crypto::KeyKind::rsa));
  EXPECT_EQ(number(must(crypto::sign_jws({{"x5t", x5t()}}, claims(), SignatureAlgorithm::rs256, stranger))),
            700027);
  // A certificate of the stranger's own in the header proves nothing.
  const std::string chain = to_base64(must(crypto::certificate_der(self_signed(stranger))));
  EXPECT_EQ(number(must(crypto::sign_jws({{"x5c", JsonArray{chain}}}, claims(), SignatureAlgorithm::rs256,
                                         stranger))),
            700027);
  EXPECT_EQ(number(sign(claims("weak"), {}, SignatureAlgorithm::rs512)), 700027);
  const std::string header = to_base64url(as_bytes(R"({"alg":"HS256","typ":"JWT"})"));
  const std::string input = header + "." + to_base64url(as_bytes(to_text(claims())));
  EXPECT_EQ(number(input + "." + to_base64url(crypto::hmac_sha256(as_bytes(certificate), as_bytes(input)))),
            700027);
}

TEST_F(ClientAssertionTest, AnotherApplicationsAssertionIsNotOurs) {
  const World::App other = world.make_app("other");
  const net::Response response = world.post_form(
      world.v2(), {{"grant_type", "client_credentials"},
                   {"client_id", other.application.app_id.text()},
                   {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
                   {"client_assertion", sign(claims())},
                   {"scope", std::string(World::kManagement) + "/.default"}});
  EXPECT_EQ(response.status, 401);
}

TEST_F(ClientAssertionTest, AnExpiredCertificateSignsNothing) {
  world.clock.advance(std::chrono::hours(49));
  EXPECT_EQ(number(sign(claims())), 700027);
}

// MSAL uses one assertion for several scopes within its lifetime; a thief uses it from elsewhere.
TEST_F(ClientAssertionTest, AnAssertionIsBoundToWhoUsedItFirst) {
  const std::string assertion = sign(claims("bound"));
  EXPECT_EQ(number(assertion), 0);
  EXPECT_EQ(number(assertion), 0);
  world.peer = *IpAddress::parse("198.51.100.9");
  EXPECT_EQ(number(assertion), 700027);
  EXPECT_THAT(ask(assertion).body, HasSubstr("used before"));
  // The same jti with other contents is the same assertion.
  JsonObject altered = claims("bound");
  altered["exp"] = now() + 601;
  EXPECT_EQ(number(sign(altered)), 700027);
  world.reopen();
  EXPECT_EQ(number(assertion), 700027);
  EXPECT_EQ(number(sign(claims("fresh"))), 0);
}

TEST_F(ClientAssertionTest, WithoutAJtiTheAssertionIsKnownByItself) {
  JsonObject payload = claims();
  payload.erase("jti");
  const std::string assertion = sign(payload);
  EXPECT_EQ(number(assertion), 0);
  world.peer = *IpAddress::parse("198.51.100.9");
  EXPECT_EQ(number(assertion), 700027);
}

TEST_F(ClientAssertionTest, UsedAssertionsAreForgottenOnceExpired) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(number(sign(claims("n" + std::to_string(i)))), 0);
  world.clock.advance(std::chrono::minutes(20));
  EXPECT_EQ(number(sign(claims("last"))), 0);
  const auto left = world.read<std::vector<AssertionUse>>(
      [&](store::Reader& reader) { return store::scan_all<AssertionUse>(reader, world.tenant); });
  EXPECT_EQ(left.size(), 1U);
}

TEST_F(ClientAssertionTest, TheTypeIsRequired) {
  Form form{{"grant_type", "client_credentials"},
            {"client_id", id},
            {"client_assertion", sign(claims())},
            {"scope", std::string(World::kManagement) + "/.default"}};
  EXPECT_EQ(world.post_form(world.v2(), form).status, 400);
  form.emplace_back("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer");
  EXPECT_EQ(world.post_form(world.v2(), form).status, 400);
}

}  // namespace
}  // namespace merlon::identity
