// Tokens of a foreign issuer in the place of a secret: the right one, and each way to forge, replay or
// misdirect one, against a real issuer behind TLS.
#include "identity/federation.h"

#include "crypto/digest.h"
#include "identity/test_issuer.h"
#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using crypto::SignatureAlgorithm;
using ::testing::HasSubstr;

constexpr const char* kSubject = "system:serviceaccount:shop:cart";

class FederationTest : public ::testing::Test {
 protected:
  FederationTest() {
    world.foreign_issuers.at_private_addresses = {issuer.url()};
    world.reopen();
    credential = add("cluster", kSubject);
  }
  FederatedCredential add(const std::string& name, const std::string& subject) {
    return world.write<FederatedCredential>([&](store::Transaction& tx) {
      FederatedCredential wanted;
      wanted.app_id = app.application.app_id;
      wanted.name = name;
      wanted.issuer = issuer.url();
      wanted.subject = subject;
      wanted.authorities_pem = issuer.authority_pem();
      return add_federated_credential(tx, world.tenant, wanted, world.clock, world.random);
    });
  }
  int64_t now() const {
    return std::chrono::floor<std::chrono::seconds>(world.clock.now()).time_since_epoch().count();
  }
  JsonObject claims() {
    return {{"aud", JsonArray{std::string(kTokenExchangeAudience)}},
            {"iss", issuer.url()},
            {"sub", kSubject},
            {"jti", "token-" + std::to_string(++made)},
            {"iat", now()},
            {"nbf", now()},
            {"exp", now() + 3600}};
  }
  JsonObject with(const std::string& name, Json value) {
    JsonObject changed = claims();
    changed[name] = std::move(value);
    return changed;
  }
  JsonObject with(const std::string& name, const std::string& value) { return with(name, Json(value)); }
  JsonObject with(const std::string& name, const char* value) { return with(name, Json(value)); }
  static std::string sign(const JsonObject& payload, JsonObject header = {{"kid", "RSA"}},
                          SignatureAlgorithm algorithm = SignatureAlgorithm::rs256,
                          const crypto::PrivateKey& key = test::ForeignServer::rsa()) {
    return must(crypto::sign_jws(std::move(header), payload, algorithm, key));
  }
  // Whatever the header says, which sign_jws() would not.
  static std::string assemble(const JsonObject& header, const JsonObject& payload, const Bytes& signature) {
    return to_base64url(as_bytes(to_text(header))) + "." + to_base64url(as_bytes(to_text(payload))) + "." +
           to_base64url(signature);
  }
  static std::string signed_as(const JsonObject& header, const JsonObject& payload,
                               SignatureAlgorithm algorithm = SignatureAlgorithm::rs256,
                               const crypto::PrivateKey& key = test::ForeignServer::rsa()) {
    const std::string input =
        to_base64url(as_bytes(to_text(header))) + "." + to_base64url(as_bytes(to_text(payload)));
    return input + "." + to_base64url(must(key.sign(algorithm, as_bytes(input))));
  }
  net::Response ask(const std::string& assertion) {
    return world.post_form(
        world.v2(), {{"grant_type", "client_credentials"},
                     {"client_id", app.application.app_id.text()},
                     {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
                     {"client_assertion", assertion},
                     {"scope", std::string(World::kManagement) + "/.default"}});
  }
  // 0 when a token was given.
  int64_t number(const std::string& assertion) {
    const net::Response response = ask(assertion);
    if (response.status == 200) return 0;
    return body_of(response).at("error_codes").as_array().at(0).as_int64();
  }

  test::ForeignServer issuer;
  World world;
  World::App app = world.make_app("app");
  FederatedCredential credential;
  int made = 0;
  int made_more = 1000;
};

TEST_F(FederationTest, ATokenForAToken) {
  const net::Response response = ask(sign(claims()));
  ASSERT_EQ(response.status, 200) << response.body;
  const JsonObject token = claims_of(*string_at(body_of(response), "access_token"));
  EXPECT_EQ(string_at(token, "oid"), app.principal.id.text());
  EXPECT_EQ(string_at(token, "idtyp"), "app");
  EXPECT_EQ(string_at(token, "appidacr"), "2");
  const auto entries = world.entries("Merlon.Identity/tokens/issue/action");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(string_at(entries.front().details, "credentialId"), credential.id.text());
  EXPECT_EQ(number(sign(with("aud", std::string(kTokenExchangeAudience)))), 0);
  EXPECT_EQ(issuer.asked(), 2) << "the keys are kept";
}

TEST_F(FederationTest, EachKindOfKey) {
  const auto p256 = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  const auto ed = must(crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  issuer.publish({{"a", &p256}, {"b", &ed}, {"RSA", &test::ForeignServer::rsa()}});
  EXPECT_EQ(number(sign(claims(), {{"kid", "a"}}, SignatureAlgorithm::es256, p256)), 0);
  EXPECT_EQ(number(sign(claims(), {{"kid", "b"}}, SignatureAlgorithm::eddsa, ed)), 0);
  EXPECT_EQ(number(sign(claims(), {{"kid", "RSA"}}, SignatureAlgorithm::ps256)), 0);
  EXPECT_EQ(number(sign(claims(), {{"kid", "b"}}, SignatureAlgorithm::es256, p256)), 700027)
      << "another's kid";
  EXPECT_EQ(number(sign(claims(), JsonObject{})), 700027) << "no kid, and three keys to choose from";
}

TEST_F(FederationTest, ExactMatchesAlone) {
  EXPECT_EQ(number(sign(with("iss", issuer.url() + "/"))), 700211);
  EXPECT_EQ(number(sign(with("iss", "https://evil.example"))), 700211);
  EXPECT_EQ(number(sign(with("iss", "HTTPS" + issuer.url().substr(5)))), 700211);
  EXPECT_EQ(number(sign(with("iss", issuer.url() + "\n" + kSubject))), 700211);
  for (const std::string subject :
       {"system:serviceaccount:shop:Cart", "system:serviceaccount:shop:cart ", "", "*",
        "system:serviceaccount:shop:cart2", "system:serviceaccount:shop:car"})
    EXPECT_EQ(number(sign(with("sub", subject))), 700213) << subject;
  EXPECT_EQ(number(sign(with("sub", Json(nullptr)))), 700213);
  EXPECT_EQ(number(sign(with("sub", JsonArray{kSubject}))), 700213);
  for (const std::string audience : {"api://azureadtokenexchange", "https://evil.example", ""})
    EXPECT_EQ(number(sign(with("aud", audience))), 700212) << audience;
  EXPECT_EQ(number(sign(with("aud", JsonArray{}))), 700212);
  EXPECT_EQ(number(sign(with("aud", JsonArray{1, "x"}))), 700212);
  EXPECT_EQ(issuer.asked(), 0) << "nobody makes us ask an issuer without a credential that fits";
}

TEST_F(FederationTest, OnlyInItsTime) {
  EXPECT_EQ(number(sign(with("exp", now() - 301))), 700024);
  EXPECT_EQ(number(sign(with("nbf", now() + 400))), 700024);
  EXPECT_EQ(number(sign(with("iat", now() + 400))), 700024);
  EXPECT_EQ(number(sign(with("exp", "tomorrow"))), 700024);
  EXPECT_EQ(number(sign(with("exp", now() + 3600 * 25))), 700024);
  JsonObject forever = claims();
  forever.erase("exp");
  EXPECT_EQ(number(sign(forever)), 700024);
}

TEST_F(FederationTest, ForgedHeaders) {
  const crypto::PrivateKey& rsa = test::ForeignServer::rsa();
  for (const std::string none : {"none", "None", "NONE", "nOnE", ""})
    EXPECT_EQ(number(assemble({{"alg", none}, {"kid", "RSA"}}, claims(), {})), 700027) << none;
  EXPECT_EQ(number(assemble({{"alg", "none"}, {"kid", "RSA"}}, claims(), to_bytes("x"))), 700027);
  // The public key as the secret of an HMAC (RFC 8725 section 2.1).
  for (const std::string& secret : {rsa.public_key().pem(), std::string(as_text(rsa.public_key().spki_der())),
                                    to_text(crypto::to_jwk(rsa.public_key()))}) {
    const std::string input = to_base64url(as_bytes(R"({"alg":"HS256","kid":"RSA"})")) + "." +
                              to_base64url(as_bytes(to_text(claims())));
    EXPECT_EQ(number(input + "." + to_base64url(crypto::hmac_sha256(as_bytes(secret), as_bytes(input)))),
              700027);
  }
  const auto own = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  JsonObject header{{"alg", "RS256"}, {"kid", "RSA"}};
  EXPECT_EQ(number(signed_as(header, claims())), 0) << "so that the next ones are refused for their header";
  for (const std::string member : {"jwk", "jku", "x5u", "crit", "b64"}) {
    JsonObject forged = header;
    forged[member] = member == "jwk" ? Json(crypto::to_jwk(own.public_key())) : Json(issuer.url() + "/keys");
    EXPECT_EQ(number(signed_as(forged, claims())), 700027) << member;
  }
  // The attacker's own key, offered in each place where a header can offer one. The address is a path of the
  // issuer itself, so that asking it would work.
  JsonObject stolen = crypto::to_jwk(own.public_key());
  stolen["kid"] = "own";
  issuer.answer_with("/attacker", to_text(JsonObject{{"keys", JsonArray{stolen}}}));
  for (const std::string member : {"jwk", "jku", "x5u", "x5c"})
    for (const std::string kid : {"own", "RSA"}) {
      JsonObject forged{{"alg", "ES256"}, {"kid", kid}};
      if (member == "jwk")
        forged[member] = stolen;
      else if (member == "x5c")
        forged[member] = JsonArray{to_base64(own.public_key().spki_der())};
      else
        forged[member] = issuer.url() + "/attacker";
      world.clock.advance(std::chrono::seconds(31));  // or it would not be asked for a while in any case
      EXPECT_EQ(number(signed_as(forged, claims(), SignatureAlgorithm::es256, own)), 700027) << member << kid;
    }
  EXPECT_EQ(issuer.asked("/attacker"), 0) << "an address in a header is never asked";
  world.clock.advance(std::chrono::seconds(31));
  EXPECT_EQ(number(sign(claims(), {{"kid", "asks"}})), 700027);
  const int asked = issuer.asked();
  for (const std::string& kid :
       {std::string("../../../../dev/null"), std::string("RSA\0", 4), std::string("' OR 1=1 --"),
        std::string("rsa"), std::string("|id"), std::string()})
    EXPECT_EQ(number(sign(claims(), {{"kid", kid}})), 700027) << kid;
  EXPECT_EQ(number(sign(claims(), {{"kid", Json(JsonArray{"RSA"})}})), 0)
      << "a kid that is no text is none, and there is one key";
  EXPECT_EQ(issuer.asked(), asked) << "an unknown kid does not make us ask at once again";
  EXPECT_EQ(number(sign(claims(), {{"kid", "RSA"}}, SignatureAlgorithm::es256, own)), 700027);
}

TEST_F(FederationTest, AChangedTokenDoesNotVerify) {
  std::string token = sign(claims());
  const size_t dot = token.find('.');
  const std::string other = to_base64url(as_bytes(to_text(with("jti", "mine"))));
  EXPECT_EQ(number(token.substr(0, dot + 1) + other + token.substr(token.rfind('.'))), 700027);
}

TEST_F(FederationTest, ReplayedFromElsewhere) {
  const std::string token = sign(claims());
  EXPECT_EQ(number(token), 0);
  EXPECT_EQ(number(token), 0) << "clients send one again while it lives";
  world.peer = *IpAddress::parse("198.51.100.9");
  EXPECT_EQ(number(token), 700027);
  EXPECT_EQ(number(sign(claims())), 0);
}

TEST_F(FederationTest, KeysAreRotatedAndForgotten) {
  EXPECT_EQ(number(sign(claims())), 0);
  const auto next = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  issuer.publish({{"next", &next}});
  const auto by_next = [&] {
    return number(sign(claims(), {{"kid", "next"}}, SignatureAlgorithm::es256, next));
  };
  EXPECT_EQ(by_next(), 700027) << "asked a moment ago";
  EXPECT_EQ(number(sign(claims())), 0);
  world.clock.advance(std::chrono::seconds(31));
  EXPECT_EQ(by_next(), 0);
  EXPECT_EQ(number(sign(claims())), 700027) << "the issuer has withdrawn the old key";
}

TEST_F(FederationTest, AnIssuerThatCannotBeAskedIsNotBelievedForLong) {
  EXPECT_EQ(number(sign(claims())), 0);
  issuer.answer_with("/keys", "gone", 500);
  world.clock.advance(std::chrono::minutes(45));
  EXPECT_EQ(number(sign(claims())), 0) << "renewal has failed, and the keys are still good";
  world.clock.advance(std::chrono::minutes(16));
  EXPECT_EQ(number(sign(claims())), 90061) << "an hour old";
  const int asked = issuer.asked();
  EXPECT_EQ(number(sign(claims())), 90061);
  EXPECT_EQ(issuer.asked(), asked) << "not again within seconds of a failure";
}

TEST_F(FederationTest, IssuersThatMisbehave) {
  const std::string discovery = "/.well-known/openid-configuration";
  const auto refused = [&](const std::string& part) {
    world.clock.advance(std::chrono::minutes(2));
    const net::Response response = ask(sign(claims()));
    EXPECT_EQ(response.status, 400) << response.body;
    EXPECT_THAT(response.body, HasSubstr("AADSTS90061")) << part;
    EXPECT_THAT(response.body, HasSubstr(part));
  };
  issuer.answer_with(discovery, "", 302, issuer.url() + "/moved");
  refused("redirect");
  issuer.answer_with(discovery,
                     to_text(JsonObject{{"issuer", "https://x.example"}, {"jwks_uri", issuer.url()}}));
  refused("names another issuer");
  for (const std::string uri : {"http://127.0.0.1/keys", "file:///etc/passwd", "keys", ""}) {
    issuer.answer_with(discovery, to_text(JsonObject{{"issuer", issuer.url()}, {"jwks_uri", uri}}));
    refused("no jwks_uri that is an https URL");
  }
  issuer.answer_with(discovery, "[]");
  refused("not a JSON object");
  issuer.publish_text(std::string(600 * 1024, ' '));
  refused("could not be read");
  issuer.publish_text(R"({"keys":7})");
  refused("no array");
  issuer.hang(true);
  const Duration start = SystemClock().boottime();
  refused("no answer within the time limit");
  EXPECT_LT(SystemClock().boottime() - start, std::chrono::seconds(15));
}

TEST_F(FederationTest, KeysThatAreNoneForUs) {
  const std::string small =
      to_text(crypto::to_jwk(must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256)).public_key()));
  JsonObject encryption = crypto::to_jwk(test::ForeignServer::rsa().public_key());
  encryption["kid"] = "RSA";
  encryption["use"] = "enc";
  issuer.publish_text(to_text(
      JsonObject{{"keys", JsonArray{encryption, 7, nullptr,
                                    JsonObject{{"kty", "oct"}, {"k", "c2VjcmV0"}, {"kid", "RSA"}}}}}));
  EXPECT_EQ(number(sign(claims())), 700027);
}

TEST_F(FederationTest, OnlyTheIssuersTheOperatorAllowsAreInside) {
  world.foreign_issuers.at_private_addresses.clear();
  world.reopen();
  const net::Response response = ask(sign(claims()));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("127.0.0.1: not an address that may be connected to"));
  EXPECT_EQ(issuer.asked(), 0);
}

TEST_F(FederationTest, APrivateIssuerReachesItsOwnServerAndNoOther) {
  test::ForeignServer inside;
  issuer.answer_with("/.well-known/openid-configuration",
                     to_text(JsonObject{{"issuer", issuer.url()}, {"jwks_uri", inside.url() + "/keys"}}));
  world.write([&](store::Transaction& tx) {
    credential.authorities_pem += inside.authority_pem();
    return update_federated_credential(tx, world.tenant, credential);
  });
  const net::Response response = ask(sign(claims()));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("127.0.0.1: not an address that may be connected to"));
  EXPECT_THAT(response.body, HasSubstr("must be at its own host and port"));
  EXPECT_EQ(inside.asked(), 0) << "another port of the same host is another server";
}

TEST_F(FederationTest, KeysThatMayNotBeStoredAreKeptFiveMinutes) {
  const std::string keys = to_text(JsonObject{{"keys", JsonArray{[] {
                                                 JsonObject jwk =
                                                     crypto::to_jwk(test::ForeignServer::rsa().public_key());
                                                 jwk["kid"] = "RSA";
                                                 return jwk;
                                               }()}}});
  for (const std::string word : {"no-store", "no-cache", "max-age=0", "max-age=20"}) {
    issuer.answer_with("/keys", keys, 200, {}, word);
    EXPECT_EQ(number(sign(claims())), 0) << word;
    issuer.answer_with("/keys", "gone", 500);
    world.clock.advance(std::chrono::minutes(4));
    EXPECT_EQ(number(sign(claims())), 0) << word;
    world.clock.advance(std::chrono::seconds(61));
    EXPECT_EQ(number(sign(claims())), 90061) << word;
    world.clock.advance(std::chrono::minutes(1));
  }
}

TEST_F(FederationTest, TheIssuersCertificateMustComeFromThePinnedAuthority) {
  world.write([&](store::Transaction& tx) {
    FederatedCredential other = credential;
    other.authorities_pem = net::test::Authority("Test Authority").certificate_pem();
    return update_federated_credential(tx, world.tenant, other);
  });
  EXPECT_THAT(ask(sign(claims())).body, HasSubstr("did not prove to be '127.0.0.1'"));
  EXPECT_EQ(issuer.asked(), 0);
}

TEST_F(FederationTest, ACredentialIsGoneAtOnce) {
  EXPECT_EQ(number(sign(claims())), 0);
  world.write([&](store::Transaction& tx) {
    return store::erase<FederatedCredential>(tx, world.tenant, credential.key());
  });
  EXPECT_EQ(number(sign(claims())), 700211);
}

TEST_F(FederationTest, Expressions) {
  const auto express = [&](const std::string& name, const std::string& expression,
                           const std::string& audience = std::string(kTokenExchangeAudience)) {
    return world.write<FederatedCredential>([&](store::Transaction& tx) {
      FederatedCredential wanted = credential;
      wanted.name = name;
      wanted.subject.clear();
      wanted.expression = expression;
      wanted.audience = audience;
      return add_federated_credential(tx, world.tenant, wanted, world.clock, world.random);
    });
  };
  JsonObject flow = with("sub", "repo:org/cart:ref:refs/heads/main");
  flow["flow"] = "org/deploy";
  EXPECT_EQ(number(sign(flow)), 700213) << "before there is one";
  const auto made = express(
      "flow", "claims['sub'] matches 'repo:org/*:ref:refs/heads/*' and claims['flow'] eq 'org/deploy'");
  express("elsewhere", "claims['sub'] matches 'repo:org/*' and claims['flow'] eq 'org/test'", "api://other");
  EXPECT_EQ(number(sign(flow)), 0);
  EXPECT_EQ(string_at(world.entries("Merlon.Identity/tokens/issue/action").front().details, "credentialId"),
            made.id.text());
  EXPECT_EQ(number(sign(claims())), 0) << "one that is equal is there as before";
  const auto refused = [&](const std::string& claim, const Json& value, int64_t wanted) {
    JsonObject other = flow;
    other["jti"] = "token-" + std::to_string(++made_more);
    other[claim] = value;
    const int asked = issuer.asked();
    EXPECT_EQ(number(sign(other)), wanted) << claim << to_text(value);
    EXPECT_EQ(issuer.asked(), asked);
  };
  refused("sub", "repo:evil/cart:ref:refs/heads/main", 700213);
  refused("sub", "repo:org/cart:pull_request", 700213);
  refused("sub", nullptr, 700213);
  refused("sub", JsonArray{"repo:org/cart:ref:refs/heads/main"}, 700213);
  refused("sub", Json("\n" + to_hex(crypto::sha256(as_bytes(made.expression)))), 700213);
  refused("flow", "org/deploy ", 700213);
  refused("flow", nullptr, 700213);
  refused("flow", "org/test", 700212);
  refused("aud", "api://other", 700212);
  EXPECT_EQ(number(sign(flow, {{"kid", "RSA"}}, SignatureAlgorithm::rs256,
                        must(crypto::PrivateKey::generate(crypto::KeyKind::rsa)))),
            700027)
      << "what fits must still be signed by the issuer";
  // 300 more do not hide the one that fits.
  for (int i = 0; i < 300; ++i)
    express("more" + std::to_string(i), "claims['sub'] eq 'subject " + std::to_string(i) + "'");
  EXPECT_EQ(number(sign(with("sub", "subject 299"))), 0);
  world.write([&](store::Transaction& tx) {
    return store::erase<FederatedCredential>(tx, world.tenant, made.key());
  });
  flow["jti"] = "another";
  EXPECT_EQ(number(sign(flow)), 700213) << "gone at once";
}

TEST_F(FederationTest, PinnedKeysAloneCountAndNobodyIsAsked) {
  const auto pinned = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  JsonObject jwk = crypto::to_jwk(pinned.public_key());
  jwk["kid"] = "pinned";
  world.write([&](store::Transaction& tx) {
    credential.keys_jwks = to_text(JsonObject{{"keys", JsonArray{jwk}}});
    return update_federated_credential(tx, world.tenant, credential);
  });
  EXPECT_EQ(number(sign(claims(), {{"kid", "pinned"}}, SignatureAlgorithm::es256, pinned)), 0);
  EXPECT_EQ(number(sign(claims())), 700027) << "the issuer's published key is not pinned";
  EXPECT_EQ(number(sign(claims(), {{"kid", "unknown"}}, SignatureAlgorithm::es256, pinned)), 700027);
  EXPECT_EQ(issuer.asked(), 0);
}

TEST_F(FederationTest, ItIsTheApplicationsOwn) {
  const World::App other = world.make_app("other");
  app = other;
  EXPECT_EQ(number(sign(claims())), 700211) << "another application's credential";
}

TEST_F(FederationTest, ManyCredentials) {
  for (int i = 0; i < 60; ++i) add("more" + std::to_string(i), "subject " + std::to_string(i));
  EXPECT_EQ(number(sign(with("sub", "subject 59"))), 0);
  EXPECT_EQ(number(sign(with("sub", "subject 60"))), 700213);
}

}  // namespace
}  // namespace merlon::identity
