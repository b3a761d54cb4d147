// Digests and HMAC against FIPS 180-4 and RFC 4231.
#include "crypto/digest.h"

#include <gtest/gtest.h>

#include "crypto/test_corpus.h"

namespace merlon::crypto {
namespace {

TEST(Digest, Sha256OfTheFipsExamples) {
  EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256(as_bytes(std::string(1'000'000, 'a')))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Digest, Sha1OfTheFipsExample) {
  EXPECT_EQ(to_hex(sha1(as_bytes("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

TEST(Digest, HmacOfRfc4231) {
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(131, 0xaa),
                               as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Digest, HmacTakesEmptyKeyAndMessage) {
  EXPECT_EQ(to_hex(hmac_sha256({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Digest, HmacOfWycheproof) {
  const auto vectors = testing::read_wycheproof("hmac_sha256_test");
  if (!vectors) return;
  int count = 0;
  for (const Json& group : *array_at(vectors->as_object(), "testGroups")) {
    const auto tag_bytes = static_cast<size_t>(*int_at(group.as_object(), "tagSize")) / 8;
    for (const Json& test : *array_at(group.as_object(), "tests")) {
      const JsonObject& t = test.as_object();
      Bytes mac = hmac_sha256(*from_hex(*string_at(t, "key")), *from_hex(*string_at(t, "msg")));
      mac.resize(tag_bytes);
      EXPECT_EQ(to_hex(mac) == *string_at(t, "tag"), *string_at(t, "result") == "valid")
          << *int_at(t, "tcId");
      ++count;
    }
  }
  EXPECT_GT(count, 100);
  testing::say_ran("hmac_sha256_test", count);
}

}  // namespace
}  // namespace merlon::crypto
