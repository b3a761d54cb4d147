// AES-256-GCM: known answers, round trips, and every single-byte change refused.
#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <set>

#include "crypto/system_random.h"
#include "crypto/test_corpus.h"

namespace merlon::crypto {
namespace {

class FixedRandom final : public Random {
 public:
  explicit FixedRandom(Bytes nonce) : nonce_(std::move(nonce)) {}
  void fill(std::span<uint8_t> out) override { std::copy_n(nonce_.begin(), out.size(), out.begin()); }

 private:
  Bytes nonce_;
};

Secret key_of(uint8_t value) { return Secret(Bytes(32, value)); }

TEST(Aead, SealsTestCase14OfTheGcmSpecification) {
  // McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 14.
  FixedRandom random(Bytes(12, 0));
  const Bytes sealed = aead_seal(key_of(0), Bytes(16, 0), {}, random);
  EXPECT_EQ(to_hex(sealed),
            "000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

TEST(Aead, OpensWhatItSealed) {
  SystemRandom random;
  for (const size_t size : {0UL, 1UL, 15UL, 16UL, 17UL, 100'000UL}) {
    const Bytes plaintext = random.bytes(size);
    const Bytes sealed = aead_seal(key_of(7), plaintext, as_bytes("row 1"), random);
    EXPECT_EQ(sealed.size(), size + 28);
    const auto opened = aead_open(key_of(7), sealed, as_bytes("row 1"));
    ASSERT_TRUE(opened);
    EXPECT_EQ(*opened, Secret(plaintext));
  }
}

TEST(Aead, RefusesEveryChange) {
  SystemRandom random;
  const Bytes sealed = aead_seal(key_of(7), as_bytes("a secret"), as_bytes("row 1"), random);
  for (size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 1;
    const auto opened = aead_open(key_of(7), changed, as_bytes("row 1"));
    ASSERT_FALSE(opened) << i;
    EXPECT_EQ(opened.error().code, "DecryptionFailed");
  }
  for (size_t size = 0; size < sealed.size(); ++size)
    EXPECT_FALSE(aead_open(key_of(7), ByteView(sealed).first(size), as_bytes("row 1"))) << size;
  EXPECT_FALSE(aead_open(key_of(8), sealed, as_bytes("row 1")));
  EXPECT_FALSE(aead_open(key_of(7), sealed, as_bytes("row 2")));
  EXPECT_FALSE(aead_open(key_of(7), sealed, {}));
}

TEST(Aead, UsesAFreshNonceEachTime) {
  SystemRandom random;
  std::set<Bytes> nonces;
  for (int i = 0; i < 1000; ++i) {
    const Bytes sealed = aead_seal(key_of(1), {}, {}, random);
    nonces.insert(Bytes(sealed.begin(), sealed.begin() + 12));
  }
  EXPECT_EQ(nonces.size(), 1000U);
}

TEST(AeadDeathTest, AShortKeyIsABug) {
  SystemRandom random;
  EXPECT_DEATH(aead_seal(Secret(Bytes(16, 0)), {}, {}, random), "broken invariant");
  EXPECT_DEATH(static_cast<void>(aead_open(Secret(Bytes(33, 0)), Bytes(28, 0), {})), "broken invariant");
}

TEST(Aead, OpensAndRefusesAsWycheproofSays) {
  const auto vectors = testing::read_wycheproof("aes_gcm_test");
  if (!vectors) return;
  int count = 0;
  for (const Json& group : *array_at(vectors->as_object(), "testGroups")) {
    const JsonObject& g = group.as_object();
    if (int_at(g, "keySize") != 256 || int_at(g, "ivSize") != 96 || int_at(g, "tagSize") != 128) continue;
    for (const Json& test : *array_at(g, "tests")) {
      const JsonObject& t = test.as_object();
      const Bytes sealed = *from_hex(*string_at(t, "iv") + *string_at(t, "ct") + *string_at(t, "tag"));
      const auto opened =
          aead_open(Secret(*from_hex(*string_at(t, "key"))), sealed, *from_hex(*string_at(t, "aad")));
      EXPECT_EQ(opened.has_value(), *string_at(t, "result") == "valid") << *int_at(t, "tcId");
      if (opened) EXPECT_EQ(*opened, Secret(*from_hex(*string_at(t, "msg"))));
      ++count;
    }
  }
  EXPECT_GT(count, 50);
  testing::say_ran("aes_gcm_test", count);
}

}  // namespace
}  // namespace merlon::crypto
