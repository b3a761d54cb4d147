// Keys: round trips, which algorithm fits which key, what is refused on the way in, and Wycheproof's
// signatures.
#include "crypto/own_key.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/test_corpus.h"

namespace merlon::crypto {
namespace {

using enum KeyKind;
using enum SignatureAlgorithm;

constexpr SignatureAlgorithm kAllAlgorithms[] = {rs256, rs384, rs512, ps256, ps384,
                                                 ps512, es256, es384, es512, eddsa};

bool fits(KeyKind kind, SignatureAlgorithm algorithm) {
  switch (algorithm) {
    case es256:
      return kind == ec_p256;
    case es384:
      return kind == ec_p384;
    case es512:
      return kind == ec_p521;
    case eddsa:
      return kind == ed25519;
    default:
      return kind == rsa;
  }
}

class KeyOfEachKind : public ::testing::TestWithParam<KeyKind> {};

TEST_P(KeyOfEachKind, SignsWithWhatFitsAndNothingElse) {
  const auto key = PrivateKey::generate(GetParam());
  ASSERT_TRUE(key);
  EXPECT_EQ(key->kind(), GetParam());
  const PublicKey public_key = key->public_key();
  const ByteView message = as_bytes("message");
  for (const SignatureAlgorithm algorithm : kAllAlgorithms) {
    const auto signature = key->sign(algorithm, message);
    ASSERT_EQ(signature.has_value(), fits(GetParam(), algorithm)) << jose_name(algorithm);
    if (!signature) continue;
    EXPECT_TRUE(public_key.verify(algorithm, message, *signature));
    EXPECT_FALSE(public_key.verify(algorithm, as_bytes("massage"), *signature));
    for (const SignatureAlgorithm other : kAllAlgorithms)
      if (other != algorithm) EXPECT_FALSE(public_key.verify(other, message, *signature)) << jose_name(other);
    Bytes longer = *signature;
    longer.push_back(0);
    EXPECT_FALSE(public_key.verify(algorithm, message, longer));
    EXPECT_FALSE(public_key.verify(algorithm, message, ByteView(*signature).first(signature->size() - 1)));
    EXPECT_FALSE(public_key.verify(algorithm, message, {}));
    EXPECT_FALSE(public_key.verify(algorithm, message, Bytes(signature->size(), 0)));
  }
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST_P(KeyOfEachKind, ItsPublicHalfCarriesNothingElse) {
  const auto key = PrivateKey::generate(GetParam());
  ASSERT_TRUE(key);
  EXPECT_LE(::i2d_PrivateKey(key->public_key().handle(), nullptr), 0);
  EXPECT_GT(::i2d_PrivateKey(key->handle(), nullptr), 0);
  ::ERR_clear_error();
}

TEST_P(KeyOfEachKind, ReadsWhatItWrites) {
  const auto key = PrivateKey::generate(GetParam());
  ASSERT_TRUE(key);
  const auto from_der = PrivateKey::from_pkcs8_der(key->pkcs8_der());
  const auto own = read_own_key(key->pkcs8_der());
  ASSERT_TRUE(own);
  EXPECT_EQ(own->public_key().spki_der(), key->public_key().spki_der());
  const auto from_pem = PrivateKey::from_pem(key->pem());
  ASSERT_TRUE(from_der && from_pem);
  EXPECT_EQ(from_der->public_key().spki_der(), key->public_key().spki_der());
  EXPECT_EQ(from_pem->pkcs8_der(), key->pkcs8_der());
  const auto public_der = PublicKey::from_spki_der(key->public_key().spki_der());
  const auto public_pem = PublicKey::from_pem(key->public_key().pem());
  ASSERT_TRUE(public_der && public_pem);
  EXPECT_EQ(spki_hash_hex(*public_der), spki_hash_hex(*public_pem));
  EXPECT_EQ(spki_hash_hex(*public_der).size(), 64U);
}

TEST_P(KeyOfEachKind, RefusesDerThatIsCutOrLongerThanTheKey) {
  const auto key = PrivateKey::generate(GetParam());
  ASSERT_TRUE(key);
  Bytes der = key->public_key().spki_der();
  for (size_t size = 0; size < der.size(); ++size)
    EXPECT_FALSE(PublicKey::from_spki_der(ByteView(der).first(size))) << size;
  der.push_back(0);
  EXPECT_FALSE(PublicKey::from_spki_der(der));
  const Secret secret = key->pkcs8_der();
  Bytes private_der(secret.expose().begin(), secret.expose().end());
  private_der.push_back(0);
  EXPECT_FALSE(PrivateKey::from_pkcs8_der(Secret(private_der)));
}

INSTANTIATE_TEST_SUITE_P(Key, KeyOfEachKind, ::testing::Values(rsa, ec_p256, ec_p384, ec_p521, ed25519));

TEST(Key, EcdsaSignaturesAreRaw) {
  const std::pair<KeyKind, SignatureAlgorithm> pairs[] = {
      {ec_p256, es256}, {ec_p384, es384}, {ec_p521, es512}};
  const size_t sizes[] = {64, 96, 132};
  for (size_t i = 0; i < 3; ++i) {
    const auto key = PrivateKey::generate(pairs[i].first);
    ASSERT_TRUE(key);
    // Small r and s would be shorter in DER: the raw form must keep its width every time.
    for (int round = 0; round < 40; ++round)
      EXPECT_EQ(key->sign(pairs[i].second, as_bytes(std::to_string(round)))->size(), sizes[i]);
  }
}

TEST(Key, RefusesSizesAndKindsThatMerlonDoesNotUse) {
  EXPECT_FALSE(PrivateKey::generate(rsa, 1024));
  EXPECT_FALSE(PrivateKey::generate(rsa, 0));
  EXPECT_FALSE(PrivateKey::generate(rsa, 16384));
  EXPECT_EQ(PrivateKey::generate(rsa, 3072)->public_key().bits(), 3072U);
  // RFC 8410 section 10.1 has Ed25519; the same bytes under X25519's object identifier are no signing key.
  EXPECT_FALSE(PublicKey::from_spki_der(
      *from_hex("302a300506032b656e03210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")));
  // secp256k1.
  EXPECT_FALSE(PublicKey::from_spki_der(
      *from_hex("3056301006072a8648ce3d020106052b8104000a0342000479be667ef9dcbbac55a06295ce870b07029bfcdb2dce"
                "28d959f2815b16f81798"
                "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")));
}

TEST(Key, RefusesAPointOffTheCurve) {
  const auto key = PrivateKey::generate(ec_p256);
  ASSERT_TRUE(key);
  Bytes der = key->public_key().spki_der();
  der.back() ^= 1;
  EXPECT_FALSE(PublicKey::from_spki_der(der));
}

TEST(Key, ReadsTheEd25519KeysOfRfc8410AndSignsAsRfc8032) {
  const auto key = PrivateKey::from_pem(
      Secret("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
             "-----END PRIVATE KEY-----\n"));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->public_key().pem(),
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
            "-----END PUBLIC KEY-----\n");
  // RFC 8032 section 7.1, test 1: the empty message.
  const auto test1 = PrivateKey::from_pkcs8_der(Secret(*from_hex(
      "302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")));
  ASSERT_TRUE(test1);
  EXPECT_EQ(to_hex(*test1->sign(eddsa, {})),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b");
}

TEST(Key, ErrorsDoNotShowTheKey) {
  const auto refused =
      PrivateKey::from_pem(Secret("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find("c2Vj"), std::string::npos);
  EXPECT_EQ(refused.error().cause.find("c2Vj"), std::string::npos);
  EXPECT_FALSE(PrivateKey::from_pem(Secret()));
  EXPECT_FALSE(PublicKey::from_pem(""));
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(Key, JoseNamesAreExact) {
  for (const SignatureAlgorithm algorithm : kAllAlgorithms)
    EXPECT_EQ(signature_algorithm_from_jose(jose_name(algorithm)), algorithm);
  for (const std::string_view name : {"", "none", "None", "rs256", "HS256", "RS256 ", "ES256K", "EDDSA"})
    EXPECT_FALSE(signature_algorithm_from_jose(name)) << name;
}

struct SignatureFile {
  const char* name;
  SignatureAlgorithm algorithm;
};

class WycheproofSignatures : public ::testing::TestWithParam<SignatureFile> {};

TEST_P(WycheproofSignatures, VerifyAsTheySay) {
  const auto vectors = testing::read_wycheproof(GetParam().name);
  if (!vectors) return;
  int count = 0;
  for (const Json& group : *array_at(vectors->as_object(), "testGroups")) {
    const JsonObject& g = group.as_object();
    const auto key = PublicKey::from_spki_der(*from_hex(*string_at(g, "publicKeyDer")));
    ASSERT_TRUE(key) << key.error().message;
    for (const Json& test : *array_at(g, "tests")) {
      const JsonObject& t = test.as_object();
      const bool verified =
          key->verify(GetParam().algorithm, *from_hex(*string_at(t, "msg")), *from_hex(*string_at(t, "sig")));
      const std::string result = *string_at(t, "result");
      // "acceptable" are PKCS#1 signatures over a DigestInfo without its NULL: either answer is allowed.
      if (result != "acceptable") EXPECT_EQ(verified, result == "valid") << *int_at(t, "tcId");
      ++count;
    }
  }
  EXPECT_GT(count, 50);
  testing::say_ran(GetParam().name, count);
}

INSTANTIATE_TEST_SUITE_P(Key, WycheproofSignatures,
                         ::testing::Values(SignatureFile{"ecdsa_secp256r1_sha256_p1363_test", es256},
                                           SignatureFile{"ecdsa_secp384r1_sha384_p1363_test", es384},
                                           SignatureFile{"ecdsa_secp521r1_sha512_p1363_test", es512},
                                           SignatureFile{"ed25519_test", eddsa},
                                           SignatureFile{"rsa_signature_2048_sha256_test", rs256},
                                           SignatureFile{"rsa_pss_2048_sha256_mgf1_32_test", ps256},
                                           SignatureFile{"rsa_pss_2048_sha384_mgf1_48_test", ps384},
                                           SignatureFile{"rsa_pss_4096_sha512_mgf1_64_test", ps512}));

}  // namespace
}  // namespace merlon::crypto
