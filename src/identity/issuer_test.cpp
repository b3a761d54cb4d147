// Tokens: what is issued is accepted, and nothing else is. Each part tampered with, each confusion of
// algorithms, each claim wrong, and principals that are no more.
#include "identity/issuer.h"

#include "crypto/digest.h"
#include "identity/sessions.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class IssuerTest : public ::testing::Test {
 protected:
  World world;
  World::App app = world.make_app("web");
  std::string token = world.token(app);

  std::string code(const std::string& bearer, Api api = Api::resource_manager) {
    const auto principal = world.authenticate("Bearer " + bearer, api);
    if (principal) return "accepted";
    EXPECT_EQ(principal.error().kind, ErrorKind::unauthenticated);
    return principal.error().code;
  }
  JsonObject good_claims() { return claims_of(token); }
  std::string signed_with(const std::string& name, Json value) {
    JsonObject claims = good_claims();
    claims[name] = std::move(value);
    return world.sign(claims);
  }
  std::string signed_with(const std::string& name, const std::string& value) {
    return signed_with(name, Json(value));
  }
  std::string signed_without(const std::string& name) {
    JsonObject claims = good_claims();
    claims.erase(name);
    return world.sign(claims);
  }
};

TEST_F(IssuerTest, WhatIsIssuedIsAccepted) {
  const auto principal = world.authenticate("Bearer " + token);
  ASSERT_TRUE(principal) << principal.error().message;
  EXPECT_EQ(principal->object_id, app.principal.id);
  EXPECT_EQ(principal->app_id, app.application.app_id);
  EXPECT_EQ(principal->kind, PrincipalKind::service_principal);
  EXPECT_EQ(principal->name, "web");
  EXPECT_EQ(principal->address, world.peer);
  EXPECT_EQ(principal->actor().kind, "ServicePrincipal");
  EXPECT_TRUE(world.authenticate("bearer  " + token));  // RFC 9110 section 11.1: schemes have no case
}

TEST_F(IssuerTest, ClaimsAreThoseOfEntraVersion1) {
  const JsonObject claims = good_claims();
  EXPECT_EQ(string_at(claims, "ver"), "1.0");
  EXPECT_EQ(string_at(claims, "aud"), World::kOrigin);
  EXPECT_EQ(string_at(claims, "iss"), std::string(World::kOrigin) + "/" + world.tenant.text() + "/");
  EXPECT_EQ(string_at(claims, "tid"), world.tenant.text());
  EXPECT_EQ(string_at(claims, "appid"), app.application.app_id.text());
  EXPECT_EQ(string_at(claims, "appidacr"), "1");
  EXPECT_EQ(string_at(claims, "idtyp"), "app");
  EXPECT_EQ(string_at(claims, "oid"), app.principal.id.text());
  EXPECT_EQ(int_at(claims, "exp"), *int_at(claims, "nbf") + 3600);
  EXPECT_FALSE(claims.contains("scp"));
  EXPECT_FALSE(claims.contains("xms_cc"));
}

TEST_F(IssuerTest, TheKeyIsPublishedAndVerifiesTheToken) {
  const JsonObject keys = world.issuer->jwks();
  const JsonArray& list = keys.at("keys").as_array();
  ASSERT_EQ(list.size(), 1U);
  const JsonObject& key = list[0].as_object();
  const auto parts = must(crypto::parse_jws(token));
  EXPECT_EQ(string_at(key, "kid"), string_at(parts.header, "kid"));
  EXPECT_EQ(string_at(key, "x5t"), string_at(parts.header, "x5t"));
  EXPECT_EQ(string_at(key, "kty"), "RSA");
  EXPECT_EQ(string_at(key, "use"), "sig");
  EXPECT_FALSE(key.contains("d"));
  const auto public_key = must(crypto::from_jwk(key));
  EXPECT_EQ(public_key.bits(), 2048U);
  EXPECT_EQ(crypto::jwk_thumbprint(public_key), *string_at(key, "kid"));
  EXPECT_TRUE(crypto::verify_jws(parts, crypto::SignatureAlgorithm::rs256, public_key));
}

TEST_F(IssuerTest, TheKeyOutlivesARestartAndItsRowHoldsNoPrivatePart) {
  const std::string key = to_text(world.issuer->jwks());
  world.reopen();
  EXPECT_EQ(to_text(world.issuer->jwks()), key);
  EXPECT_EQ(code(token), "accepted");
  const std::string pem(world.signing_keys().front().key.pem().expose_text());
  EXPECT_THAT(pem, HasSubstr("PRIVATE KEY"));
  EXPECT_EQ(key.find("PRIVATE"), std::string::npos);
}

TEST_F(IssuerTest, AnyChangedByteIsRefused) {
  for (size_t i = 0; i < token.size(); i += 7) {
    std::string tampered = token;
    tampered[i] = tampered[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(code(tampered), "InvalidAuthenticationToken") << "byte " << i;
  }
  EXPECT_EQ(code(token.substr(0, token.size() - 1)), "InvalidAuthenticationToken");
  EXPECT_EQ(code(token + "A"), "InvalidAuthenticationToken");
  EXPECT_EQ(code(token + "="), "InvalidAuthenticationToken");
  EXPECT_EQ(code(token.substr(0, token.rfind('.') + 1)), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, PartsOfTwoTokensDoNotMix) {
  const World::App other = world.make_app("other");
  const std::string second = world.token(other);
  const std::string mixed = second.substr(0, second.rfind('.')) + token.substr(token.rfind('.'));
  EXPECT_EQ(code(mixed), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, UnsignedTokensAreRefused) {
  const std::string kid = world.signing_keys().front().id;
  const std::string payload = to_base64url(as_bytes(to_text(good_claims())));
  for (const std::string algorithm : {"none", "None", "NONE", ""}) {
    const std::string header =
        to_base64url(as_bytes(to_text(JsonObject{{"typ", "JWT"}, {"kid", kid}, {"alg", algorithm}})));
    EXPECT_EQ(code(header + "." + payload + "."), "InvalidAuthenticationToken");
    EXPECT_EQ(code(header + "." + payload + token.substr(token.rfind('.'))), "InvalidAuthenticationToken");
  }
}

// The classic: a verifier that believes "HS256" takes the public key for a shared secret (RFC 8725
// section 2.1).
TEST_F(IssuerTest, ThePublicKeyIsNoSharedSecret) {
  const SigningKey key = world.signing_keys().front();
  const std::string header =
      to_base64url(as_bytes(to_text(JsonObject{{"typ", "JWT"}, {"kid", key.id}, {"alg", "HS256"}})));
  const std::string input = header + "." + to_base64url(as_bytes(to_text(good_claims())));
  const std::string pem = key.key.public_key().pem();
  const Bytes der = key.key.public_key().spki_der();
  for (const ByteView secret : {as_bytes(pem), ByteView(der)})
    EXPECT_EQ(code(input + "." + to_base64url(crypto::hmac_sha256(secret, as_bytes(input)))),
              "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, AnotherKeyUnderOurNameIsRefused) {
  const auto stranger = must(crypto::PrivateKey::generate(crypto::KeyKind::rsa));
  const JsonObject jwk = crypto::to_jwk(stranger.public_key());
  for (JsonObject header :
       {JsonObject{{"kid", world.signing_keys().front().id}},
        JsonObject{{"kid", crypto::jwk_thumbprint(stranger.public_key())}},
        JsonObject{{"kid", world.signing_keys().front().id}, {"jwk", jwk}}, JsonObject{}}) {
    header["typ"] = "JWT";
    const auto forged = crypto::sign_jws(header, good_claims(), crypto::SignatureAlgorithm::rs256, stranger);
    if (forged) EXPECT_EQ(code(*forged), "InvalidAuthenticationToken");
  }
}

TEST_F(IssuerTest, TheAlgorithmIsTheKeysAndNotTheHeaders) {
  const SigningKey key = world.signing_keys().front();
  const auto other = must(crypto::sign_jws({{"typ", "JWT"}, {"kid", key.id}}, good_claims(),
                                           crypto::SignatureAlgorithm::ps256, key.key));
  EXPECT_EQ(code(other), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, WrongAudience) {
  for (const std::string audience :
       {"https://vault.azure.net", "https://management.azure.com.evil.example", "",
        "https://merlon.localhost:8443/x", "https://kv1.vault.merlon.localhost:8443"})
    EXPECT_EQ(code(signed_with("aud", audience)), "InvalidAuthenticationTokenAudience") << audience;
  EXPECT_EQ(code(signed_with("aud", JsonArray{World::kManagement})), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_without("aud")), "InvalidAuthenticationToken");
  for (const std::string audience : {"https://management.azure.com/", "https://management.core.windows.net//",
                                     "https://MERLON.localhost:8443", "https://localhost:9000/"})
    EXPECT_EQ(code(signed_with("aud", audience)), "accepted") << audience;
}

TEST_F(IssuerTest, GraphTakesItsOwnTokensAndTheResourceManagersButNotTheOtherWayRound) {
  const std::string graph = signed_with("aud", std::string("https://graph.microsoft.com"));
  EXPECT_EQ(code(graph, Api::graph), "accepted");
  EXPECT_EQ(code(token, Api::graph), "accepted");
  EXPECT_EQ(code(graph), "InvalidAuthenticationTokenAudience");
}

TEST_F(IssuerTest, WrongTenant) {
  const std::string other = "22222222-2222-4222-8222-222222222222";
  EXPECT_EQ(code(signed_with("tid", other)), "InvalidAuthenticationTokenTenant");
  for (const std::string& issuer : {std::string(World::kOrigin) + "/" + other + "/",
                                    std::string(World::kOrigin) + "/" + world.tenant.text(),
                                    std::string(World::kOrigin) + "/x/" + world.tenant.text() + "/"})
    EXPECT_EQ(code(signed_with("iss", issuer)), "InvalidAuthenticationTokenTenant") << issuer;
  EXPECT_EQ(code(signed_with("iss", std::string("merlon"))), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_without("iss")), "InvalidAuthenticationToken");
  // The same server by another of its names.
  EXPECT_EQ(code(signed_with("iss", "https://192.0.2.1:8443/" + world.tenant.text() + "/")), "accepted");
}

TEST_F(IssuerTest, OutsideItsTime) {
  world.clock.advance(std::chrono::minutes(64));
  EXPECT_EQ(code(token), "accepted");  // five minutes of skew
  world.clock.advance(std::chrono::minutes(1));
  EXPECT_EQ(code(token), "ExpiredAuthenticationToken");
  world.clock.step_wall(-std::chrono::minutes(71));
  EXPECT_EQ(code(token), "InvalidAuthenticationToken");  // not yet valid
  EXPECT_EQ(code(signed_without("exp")), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_with("exp", std::string("9999999999"))), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_with("exp", INT64_MAX)), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_with("exp", -1)), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, DisabledRemovedAndRevokedPrincipals) {
  const auto set_enabled = [&](bool enabled) {
    world.write(
        [&](store::Transaction& tx) { return world.directory->set_enabled(tx, app.principal.id, enabled); });
  };
  set_enabled(false);
  EXPECT_EQ(code(token), "InvalidAuthenticationToken");
  set_enabled(true);
  EXPECT_EQ(code(token), "InvalidAuthenticationToken");  // disabling ended it for good
  token = world.token(app);
  EXPECT_EQ(code(token), "accepted");
  world.write([&](store::Transaction& tx) {
    return revoke_sessions(tx, world.tenant, app.principal.id, world.random);
  });
  EXPECT_EQ(code(token), "InvalidAuthenticationToken");
  token = world.token(app);
  world.write([&](store::Transaction& tx) { return revoke_all_sessions(tx, world.tenant, world.random); });
  EXPECT_EQ(code(token), "InvalidAuthenticationToken");
  token = world.token(app);
  EXPECT_EQ(code(token), "accepted");
  world.write(
      [&](store::Transaction& tx) { return world.directory->erase_application(tx, app.application.id); });
  EXPECT_EQ(code(token), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, AUsersTokenEndsWithTheUserAndWithItsClient) {
  const User user = world.make_user("alice@merlon.localhost");
  TokenSubject subject;
  subject.principal = {.object_id = user.id,
                       .kind = PrincipalKind::user,
                       .name = user.user_principal_name,
                       .app_id = app.application.app_id,
                       .amr = {"pwd"},
                       .auth_time = world.clock.now(),
                       .token_id = {},
                       .address = world.peer};
  subject.audience = World::kManagement;
  subject.user_principal_name = user.user_principal_name;
  const std::string without = must(world.issuer->issue(subject, World::kOrigin, std::chrono::hours(1)));
  EXPECT_EQ(code(without), "InvalidAuthenticationToken") << "people have a session";
  subject.session_id = world.make_session(user);
  const std::string own = must(world.issuer->issue(subject, World::kOrigin, std::chrono::hours(1)));
  const auto principal = world.authenticate("Bearer " + own);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->name, "alice@merlon.localhost");
  EXPECT_THAT(principal->amr, ElementsAre("pwd"));
  EXPECT_EQ(principal->auth_time, world.clock.now());
  EXPECT_EQ(string_at(claims_of(own), "scp"), "user_impersonation");
  subject.session_id = Uuid::generate(world.random).text();  // a session that is not there (any more)
  EXPECT_EQ(code(must(world.issuer->issue(subject, World::kOrigin, std::chrono::hours(1)))),
            "InvalidAuthenticationToken");
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_enabled(tx, app.principal.id, false); });
  EXPECT_EQ(code(own), "InvalidAuthenticationToken");
  world.write(
      [&](store::Transaction& tx) { return world.directory->set_enabled(tx, app.principal.id, true); });
  EXPECT_EQ(code(own), "accepted");
  world.write([&](store::Transaction& tx) { return world.directory->erase_user(tx, user.id); });
  EXPECT_EQ(code(own), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, ATokenForOneKindOfPrincipalIsNotForTheOther) {
  EXPECT_EQ(code(signed_with("idtyp", std::string("user"))), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_with("idtyp", std::string("device"))), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_without("idtyp")), "InvalidAuthenticationToken");
  const World::App other = world.make_app("other");
  EXPECT_EQ(code(signed_with("oid", other.principal.id.text())), "InvalidAuthenticationToken");
  EXPECT_EQ(code(signed_with("appid", other.application.app_id.text())), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, AnIdTokenOpensNothing) {
  TokenSubject subject;
  subject.principal.object_id = app.principal.id;
  subject.principal.app_id = app.application.app_id;
  const std::string id_token = must(
      world.issuer->issue_id_token(subject,
                                   {.issuer = std::string(World::kOrigin) + "/" + world.tenant.text() + "/",
                                    .version = "1.0",
                                    .nonce = {}},
                                   std::chrono::hours(1)));
  EXPECT_EQ(code(id_token), "InvalidAuthenticationToken");
}

TEST_F(IssuerTest, HeadersThatAreNoBearerTokens) {
  for (const std::string& header :
       {std::string(), std::string("Bearer"), "Basic " + token, token, std::string("Bearer:x")}) {
    const auto principal = world.authenticate(header);
    ASSERT_FALSE(principal) << header;
    EXPECT_EQ(principal.error().code, "AuthenticationFailed") << header;
  }
  for (const std::string header : {"Bearer x", "Bearer ..", "Bearer a.b.c.d"})
    EXPECT_EQ(world.authenticate(header).error().code, "InvalidAuthenticationToken") << header;
  EXPECT_EQ(code(std::string(100'000, 'A')), "InvalidAuthenticationToken");
}

}  // namespace
}  // namespace merlon::identity
