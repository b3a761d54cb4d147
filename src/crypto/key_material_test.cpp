// What the vault's keys refuse, and that what they make is read back. Agreement with others is tested where
// keys are used: services/vault/wycheproof_test.cpp, tests/sdk/vault-keys.test.js.
#include "crypto/key_material.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "crypto/system_random.h"

namespace merlon::crypto {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message << " " << result.error().cause;
    std::abort();
  }
  return *std::move(result);
}

Bytes digest(size_t size) { return Bytes(size, 0x5a); }

TEST(KeyMaterial, StoresAndLoadsEachKind) {
  SystemRandom random;
  for (const char* curve : {"P-256", "P-384", "P-521", "P-256K"}) {
    const KeyMaterial made = must(KeyMaterial::generate_ec(curve));
    const KeyMaterial loaded = must(KeyMaterial::load(made.store()));
    EXPECT_EQ(loaded.curve(), curve);
    EXPECT_EQ(to_text(loaded.public_jwk()), to_text(made.public_jwk()));
    const std::string algorithm = std::string(curve) == "P-256K"  ? "ES256K"
                                  : std::string(curve) == "P-384" ? "ES384"
                                  : std::string(curve) == "P-521" ? "ES512"
                                                                  : "ES256";
    const Bytes value = digest(algorithm == "ES384" ? 48 : algorithm == "ES512" ? 64 : 32);
    const Bytes signature = must(made.sign(algorithm, value));
    EXPECT_TRUE(must(loaded.verify(algorithm, value, signature)));
  }
  const KeyMaterial rsa = must(KeyMaterial::generate_rsa(2048));
  EXPECT_EQ(must(KeyMaterial::load(rsa.store())).bits(), 2048U);
  const KeyMaterial oct = must(KeyMaterial::generate_oct(256, random));
  EXPECT_EQ(must(KeyMaterial::load(oct.store())).store(), oct.store());
  EXPECT_EQ(to_text(oct.public_jwk()), R"({"kty":"oct"})");
}

TEST(KeyMaterial, APublicKeyStaysPublic) {
  const KeyMaterial own = must(KeyMaterial::generate_ec("P-256"));
  const KeyMaterial theirs = must(KeyMaterial::from_jwk(own.public_jwk()));
  EXPECT_FALSE(theirs.is_private());
  EXPECT_FALSE(must(KeyMaterial::load(theirs.store())).is_private());
  EXPECT_FALSE(theirs.sign("ES256", digest(32)));
  EXPECT_TRUE(must(theirs.verify("ES256", digest(32), must(own.sign("ES256", digest(32))))));
}

TEST(KeyMaterial, AlgorithmsFitTheirKeysAndDigestsTheirAlgorithms) {
  SystemRandom random;
  const KeyMaterial rsa = must(KeyMaterial::generate_rsa(2048));
  const KeyMaterial ec = must(KeyMaterial::generate_ec("P-256"));
  const KeyMaterial k1 = must(KeyMaterial::generate_ec("P-256K"));
  const KeyMaterial oct = must(KeyMaterial::generate_oct(128, random));
  const auto code = [](const auto& result) { return result ? "done" : result.error().code; };
  EXPECT_EQ(code(rsa.sign("ES256", digest(32))), "BadParameter");
  EXPECT_EQ(code(ec.sign("RS256", digest(32))), "BadParameter");
  EXPECT_EQ(code(ec.sign("ES256K", digest(32))), "BadParameter");
  EXPECT_EQ(code(k1.sign("ES256", digest(32))), "BadParameter");
  EXPECT_EQ(code(ec.sign("ES384", digest(48))), "BadParameter");
  EXPECT_EQ(code(oct.sign("ES256", digest(32))), "BadParameter");
  EXPECT_EQ(code(rsa.sign("none", digest(32))), "BadParameter");
  for (const size_t size : {0, 20, 31, 33, 64})
    EXPECT_EQ(code(rsa.sign("RS256", digest(size))), "BadParameter") << size;
  EXPECT_EQ(code(ec.encrypt({"RSA-OAEP", {}, {}}, digest(4), random)), "BadParameter");
  EXPECT_EQ(code(oct.encrypt({"A256GCM", {}, {}}, digest(4), random)), "BadParameter");
  EXPECT_EQ(code(oct.encrypt({"A128KW", {}, {}}, digest(16), random)), "BadParameter");
  EXPECT_EQ(code(oct.encrypt({"A128GCM", digest(12), {}}, digest(4), random)), "BadParameter");
  EXPECT_EQ(code(oct.wrap("A128GCM", digest(16))), "BadParameter");
  EXPECT_EQ(code(oct.wrap("A128KW", digest(15))), "BadParameter");
  EXPECT_EQ(code(rsa.encrypt({"RSA-OAEP-256", {}, {}}, digest(191), random)), "BadParameter");
  EXPECT_EQ(code(rsa.encrypt({"RSA-OAEP-256", {}, {}}, digest(190), random)), "done");
}

// Contexts are kept with the key (key_contexts.h), one for each use of it: what one was told never tells in
// another, and what has failed is forgotten.
TEST(KeyMaterial, KeptContextsSignAsNewOnesDo) {
  const KeyMaterial rsa = must(KeyMaterial::generate_rsa(2048));
  const KeyMaterial other = must(KeyMaterial::generate_rsa(2048));
  const KeyMaterial same = must(KeyMaterial::load(rsa.store()));  // with contexts of its own
  const std::vector<std::string> algorithms = {"RS256", "PS256", "RS512", "PS384", "RS256", "PS256", "RS384"};
  for (int round = 0; round < 3; ++round)
    for (const std::string& algorithm : algorithms) {
      const size_t size = algorithm.ends_with("256") ? 32 : algorithm.ends_with("384") ? 48 : 64;
      const Bytes value(size, static_cast<uint8_t>(round));
      const Bytes signature = must(rsa.sign(algorithm, value));
      EXPECT_TRUE(must(same.verify(algorithm, value, signature))) << algorithm;
      if (algorithm[0] == 'R') EXPECT_EQ(signature, must(same.sign(algorithm, value)));
      EXPECT_FALSE(must(rsa.verify(algorithm, digest(size), signature)));
      EXPECT_TRUE(must(rsa.verify(algorithm, value, signature)));
      EXPECT_FALSE(must(other.verify(algorithm, value, signature)));
    }
  const KeyMaterial ec = must(KeyMaterial::generate_ec("P-256"));
  const Bytes one = must(ec.sign("ES256", digest(32)));
  const Bytes two = must(ec.sign("ES256", digest(32)));
  EXPECT_NE(one, two) << "a nonce that is used twice gives the key away";
  EXPECT_TRUE(must(ec.verify("ES256", digest(32), one)));
  EXPECT_TRUE(must(ec.verify("ES256", digest(32), two)));
}

TEST(KeyMaterial, OneKeySignsOnManyThreadsAtOnce) {
  const KeyMaterial rsa = must(KeyMaterial::generate_rsa(2048));
  const KeyMaterial ec = must(KeyMaterial::generate_ec("P-256"));
  std::vector<std::thread> threads;
  std::atomic<int> verified = 0;
  for (uint8_t at = 0; at < 24; ++at)
    threads.emplace_back([&, at] {
      const KeyMaterial copy = at % 2 == 0 ? rsa : ec;
      const std::string algorithm = at % 2 != 0 ? "ES256" : at % 4 == 0 ? "RS256" : "PS256";
      for (uint8_t i = 0; i < 5; ++i) {
        const Bytes value(32, static_cast<uint8_t>(at * 8 + i));
        verified += must(copy.verify(algorithm, value, must(copy.sign(algorithm, value)))) ? 1 : 0;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(verified, 24 * 5);
}

TEST(KeyMaterial, EachSignatureVerifiesForItselfAlone) {
  const KeyMaterial rsa = must(KeyMaterial::generate_rsa(2048));
  for (const std::string algorithm : {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) {
    const size_t size = algorithm.ends_with("256") ? 32 : algorithm.ends_with("384") ? 48 : 64;
    const Bytes signature = must(rsa.sign(algorithm, digest(size)));
    EXPECT_TRUE(must(rsa.verify(algorithm, digest(size), signature)));
    const std::string other = (algorithm[0] == 'R' ? "PS" : "RS") + algorithm.substr(2);
    EXPECT_FALSE(must(rsa.verify(other, digest(size), signature)));
    EXPECT_FALSE(must(rsa.verify(algorithm, Bytes(size, 1), signature)));
    EXPECT_FALSE(must(rsa.verify(algorithm, digest(size), {})));
    EXPECT_FALSE(must(rsa.verify(algorithm, digest(size), Bytes(signature.begin(), signature.end() - 1))));
  }
}

// An attacker who is told more than "no" reads the plaintext bit by bit.
TEST(KeyMaterial, WhateverIsWrongWithACiphertextTheAnswerIsOne) {
  SystemRandom random;
  const KeyMaterial rsa = must(KeyMaterial::generate_rsa(2048));
  for (const std::string algorithm : {"RSA1_5", "RSA-OAEP", "RSA-OAEP-256"}) {
    Bytes changed = must(rsa.encrypt({algorithm, {}, {}}, digest(16), random)).value;
    changed[100] ^= 1;
    std::string answer;
    for (const Bytes& ciphertext :
         {changed, Bytes(256, 0), Bytes(256, 0xff), Bytes(255, 1), Bytes(257, 1), Bytes()}) {
      const auto opened = rsa.decrypt({algorithm, {}, {}, {}}, ciphertext);
      ASSERT_FALSE(opened);
      if (answer.empty()) answer = opened.error().message;
      EXPECT_EQ(opened.error().message, answer);
      EXPECT_EQ(opened.error().kind, ErrorKind::invalid);
    }
  }
  const KeyMaterial oct = must(KeyMaterial::generate_oct(256, random));
  const Encrypted made = must(oct.encrypt({"A256CBCPAD", {}, {}}, digest(20), random));
  Bytes changed = made.value;
  changed.back() ^= 1;
  const auto bad_padding = oct.decrypt({"A256CBCPAD", made.iv, {}, {}}, changed);
  const auto bad_length = oct.decrypt({"A256CBCPAD", made.iv, {}, {}}, Bytes(17, 1));
  ASSERT_FALSE(bad_padding || bad_length);
  EXPECT_EQ(bad_padding.error().message, bad_length.error().message);
}

TEST(KeyMaterial, ImportRefusesWhatIsNoKey) {
  const std::string zero = to_base64url(Bytes(32, 0)), one = to_base64url(Bytes{1});
  const JsonObject own = must(KeyMaterial::generate_ec("P-256")).public_jwk();
  JsonObject other = must(KeyMaterial::generate_ec("P-256")).public_jwk();
  other["y"] = own.at("y");  // off the curve
  JsonObject mismatch = own;
  mismatch["d"] = one;
  for (const JsonObject& jwk :
       {JsonObject{}, JsonObject{{"kty", "EC"}},
        JsonObject{{"kty", "EC"}, {"crv", "P-256"}, {"x", zero}, {"y", zero}},
        JsonObject{{"kty", "RSA"}, {"n", one}, {"e", one}}, JsonObject{{"kty", "oct"}},
        JsonObject{{"kty", "oct"}, {"k", to_base64url(Bytes(17, 1))}},
        JsonObject{{"kty", "OKP"}, {"crv", "Ed25519"}}, other, mismatch}) {
    const auto made = KeyMaterial::from_jwk(jwk);
    ASSERT_FALSE(made) << to_text(jwk);
    EXPECT_EQ(made.error().code, "BadParameter");
  }
}

}  // namespace
}  // namespace merlon::crypto
