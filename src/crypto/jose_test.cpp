// JWS and JWK: the RFCs' own vectors, and the attacks of RFC 8725 section 2.
#include "crypto/jose.h"

#include <gtest/gtest.h>

#include "crypto/test_corpus.h"

namespace merlon::crypto {
namespace {

using enum SignatureAlgorithm;

JsonObject object(std::string_view text) { return *parse_json_object(text); }

std::string token(std::string_view header, std::string_view payload, std::string_view signature = "AAAA") {
  return to_base64url(as_bytes(header)) + "." + to_base64url(as_bytes(payload)) + "." +
         std::string(signature);
}

// RFC 7515 appendix A.3.
constexpr std::string_view kEs256Token =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
    "fQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
constexpr std::string_view kEs256Key =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
// RFC 7638 section 3.1.
constexpr std::string_view kRsaKey =
    R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK)"
    R"(RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7)"
    R"(d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur)"
    R"(-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"})";

TEST(Jose, VerifiesTheTokenOfRfc7515) {
  const auto parts = parse_jws(kEs256Token);
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(string_at(parts->payload, "iss"), "joe");
  const auto key = from_jwk(object(kEs256Key));
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_TRUE(verify_jws(*parts, es256, *key));
  EXPECT_FALSE(verify_jws(*parts, es384, *key));
  EXPECT_FALSE(verify_jws(*parts, eddsa, *key));
  JwsParts changed = *parts;
  changed.signature[5] ^= 1;
  EXPECT_FALSE(verify_jws(changed, es256, *key));
  changed = *parts;
  changed.signing_input.back() = 'R';
  EXPECT_FALSE(verify_jws(changed, es256, *key));
}

TEST(Jose, ThumbprintsOfTheRfcs) {
  EXPECT_EQ(jwk_thumbprint(*from_jwk(object(kRsaKey))), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  // RFC 8037 appendix A.3.
  const auto ed25519 =
      from_jwk(object(R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"));
  ASSERT_TRUE(ed25519);
  EXPECT_EQ(jwk_thumbprint(*ed25519), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

TEST(Jose, JwksReadBackEqual) {
  for (const KeyKind kind :
       {KeyKind::rsa, KeyKind::ec_p256, KeyKind::ec_p384, KeyKind::ec_p521, KeyKind::ed25519}) {
    const auto key = PrivateKey::generate(kind);
    ASSERT_TRUE(key);
    const JsonObject jwk = to_jwk(key->public_key());
    EXPECT_FALSE(jwk.contains("d"));
    const auto read = from_jwk(jwk);
    ASSERT_TRUE(read) << to_text(jwk);
    EXPECT_EQ(read->spki_der(), key->public_key().spki_der());
    EXPECT_EQ(jwk_thumbprint(*read).size(), 43U);
  }
}

TEST(Jose, RefusesBadJwks) {
  for (const std::string_view text : {
           R"({})",
           R"({"kty":"oct","k":"AAAA"})",
           R"({"kty":"EC","crv":"P-256"})",
           R"({"kty":"RSA","n":"AQAB","e":"AQAB"})",
           R"({"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"})",
           // The point is not on the curve.
           R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4"})",
           // One coordinate is a byte short.
           R"({"kty":"EC","crv":"P-256","x":"g83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVA",
               "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
           R"({"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
           R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"})",
           R"({"kty":["RSA"],"n":1,"e":2})",
       })
    EXPECT_FALSE(from_jwk(object(text))) << text;
}

TEST(Jose, RefusesAnRsaKeyWithExponentOneOrLeadingZeros) {
  JsonObject jwk = object(kRsaKey);
  jwk["e"] = "AQ";  // x^1 = x: every signature would verify
  EXPECT_FALSE(from_jwk(jwk));
  jwk["e"] = "AAEAAQ";
  EXPECT_FALSE(from_jwk(jwk));
  jwk["e"] = "AQAA";  // even
  EXPECT_FALSE(from_jwk(jwk));
}

TEST(Jose, RefusesPrivateJwks) {
  JsonObject jwk = object(kEs256Key);
  jwk["d"] = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
  const auto refused = from_jwk(jwk);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find("jpsQ"), std::string::npos);
}

TEST(Jose, SignsWhatItVerifies) {
  const std::pair<KeyKind, SignatureAlgorithm> pairs[] = {
      {KeyKind::rsa, rs256},     {KeyKind::rsa, ps256},     {KeyKind::ec_p256, es256},
      {KeyKind::ec_p384, es384}, {KeyKind::ec_p521, es512}, {KeyKind::ed25519, eddsa}};
  for (const auto& [kind, algorithm] : pairs) {
    const auto key = PrivateKey::generate(kind);
    ASSERT_TRUE(key);
    // A caller's own alg must not survive.
    const auto text =
        sign_jws(object(R"({"alg":"none","typ":"JWT","kid":"1"})"), object(R"({"a":"ü"})"), algorithm, *key);
    ASSERT_TRUE(text);
    const auto parts = parse_jws(*text);
    ASSERT_TRUE(parts);
    EXPECT_EQ(string_at(parts->header, "alg"), jose_name(algorithm));
    EXPECT_EQ(string_at(parts->header, "kid"), "1");
    EXPECT_TRUE(verify_jws(*parts, algorithm, key->public_key()));
    EXPECT_FALSE(verify_jws(*parts, algorithm, PrivateKey::generate(kind)->public_key()));
  }
}

TEST(Jose, TheAlgorithmOfTheTokenNeverDecides) {
  // RFC 8725 section 2.1: an RSA signature that the token calls PS256 while our record says RS256, and the
  // reverse.
  const auto key = PrivateKey::generate(KeyKind::rsa);
  ASSERT_TRUE(key);
  const auto parts = parse_jws(*sign_jws({}, object("{}"), rs256, *key));
  ASSERT_TRUE(parts);
  EXPECT_FALSE(verify_jws(*parts, ps256, key->public_key()));
  JwsParts relabelled = *parts;
  relabelled.header["alg"] = "PS256";
  EXPECT_FALSE(verify_jws(relabelled, ps256, key->public_key()));
  EXPECT_FALSE(verify_jws(relabelled, rs256, key->public_key()));
}

TEST(Jose, RefusesHeadersThatBringTheirOwnTrust) {
  EXPECT_TRUE(parse_jws(token(R"({"alg":"RS256"})", "{}")));
  EXPECT_TRUE(parse_jws(token(R"({"alg":"RS256","x5c":["MIIB"],"x5t":"AA"})", "{}")));
  for (const std::string_view header :
       {R"({})", R"({"alg":null})", R"({"alg":1})", R"({"alg":"none"})", R"({"alg":"nOnE"})",
        R"({"alg":"RS256","alg":"none"})", R"({"alg":"RS256","crit":["exp"],"exp":1})",
        R"({"alg":"RS256","crit":[]})", R"({"alg":"RS256","b64":false})", R"({"alg":"RS256","jwk":{}})",
        R"({"alg":"RS256","jku":"https://evil.example/"})",
        R"({"alg":"RS256","x5u":"https://evil.example/"})", R"([])", R"("alg")", "", "{",
        R"({"alg":"RS256"} x)", "{\"alg\":\"RS\xff\"}"})
    EXPECT_FALSE(parse_jws(token(header, "{}"))) << header;
}

TEST(Jose, RefusesOtherForms) {
  const std::string good = token(R"({"alg":"RS256"})", "{}");
  EXPECT_TRUE(parse_jws(good));
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("..."), good + ".", "." + good,
        good + "=", good + " ", " " + good, good + "\n", good + ".AAAA.AAAA",
        token(R"({"alg":"RS256"})", "{}", ""), token(R"({"alg":"RS256"})", "{}", "A"),
        token(R"({"alg":"RS256"})", "{}", "AB"), token(R"({"alg":"RS256"})", "{}", "A+/A"),
        token(R"({"alg":"RS256"})", "[]"), token(R"({"alg":"RS256"})", ""),
        token(R"({"alg":"RS256"})", R"({"a":1,"a":2})"), token(R"({"alg":"RS256"})", std::string(40, '['))})
    EXPECT_FALSE(parse_jws(text)) << text;
  const std::string long_payload = R"({"a":")" + std::string(16 * 1024, 'a') + "\"}";
  EXPECT_FALSE(parse_jws(token(R"({"alg":"RS256"})", long_payload)));
}

TEST(Jose, VerifiesTheSignaturesOfRfc7520) {
  const std::filesystem::path folder = testing::corpus_root() / "jose";
  if (!std::filesystem::exists(folder)) return testing::say_absent(folder);
  int count = 0;
  for (const char* name : {"jws/4_1.rsa_v15_signature.json", "jws/4_2.rsa-pss_signature.json",
                           "jws/4_3.ecdsa_signature.json", "curve25519/jws.json"}) {
    const auto vector = testing::read_json_file(folder / name);
    ASSERT_TRUE(vector) << name;
    const JsonObject& v = vector->as_object();
    // The vectors' keys are private JWKs and their payloads are text: take the public half, verify the parts.
    JsonObject jwk = *object_at(v, "input.key");
    EXPECT_FALSE(from_jwk(jwk)) << name;
    for (const char* secret : {"d", "p", "q", "dp", "dq", "qi"}) jwk.erase(secret);
    const auto key = from_jwk(jwk);
    ASSERT_TRUE(key) << name;
    const std::string compact = *string_at(v, "output.compact");
    EXPECT_FALSE(parse_jws(compact)) << "a payload that is not an object";
    const size_t dot = compact.rfind('.');
    const auto algorithm = signature_algorithm_from_jose(*string_at(v, "input.alg"));
    ASSERT_TRUE(algorithm);
    const auto signature = from_base64url(compact.substr(dot + 1));
    ASSERT_TRUE(signature);
    EXPECT_TRUE(key->verify(*algorithm, as_bytes(compact).first(dot), *signature)) << name;
    EXPECT_FALSE(key->verify(*algorithm, as_bytes(compact).first(dot - 1), *signature)) << name;
    ++count;
  }
  testing::say_ran("RFC 7520 and RFC 8037 signatures", count);
}

}  // namespace
}  // namespace merlon::crypto
