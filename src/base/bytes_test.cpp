// Hex and Base64: RFC 4648's vectors, and one spelling per value.
#include "base/bytes.h"

#include <gtest/gtest.h>

#include "base/secret.h"

namespace merlon {
namespace {

TEST(Bytes, Base64OfRfc4648) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    EXPECT_EQ(from_base64(encoded), to_bytes(plain));
    const std::string_view unpadded = encoded.substr(0, encoded.find('='));
    EXPECT_EQ(to_base64url(as_bytes(plain)), unpadded);
    EXPECT_EQ(from_base64url(unpadded), to_bytes(plain));
  }
}

TEST(Bytes, TheTwoAlphabetsDoNotMix) {
  const Bytes bytes = {0xfb, 0xff, 0xfe};
  EXPECT_EQ(to_base64(bytes), "+//+");
  EXPECT_EQ(to_base64url(bytes), "-__-");
  EXPECT_FALSE(from_base64("-__-"));
  EXPECT_FALSE(from_base64url("+//+"));
}

TEST(Bytes, Base64HasOneSpelling) {
  for (const std::string_view text :
       {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z", "=", "==", "====", "Z===", "Zg==Zg==", "Zm9v\n", " Zm9v",
        "Zm 9v", "Zm9v=", "Zm9v====", "Zm=v", "Zm9v\xff"})
    EXPECT_FALSE(from_base64(text)) << text;
  EXPECT_FALSE(from_base64(std::string_view("Zm9\0", 4)));
  for (const std::string_view text : {"Zg==", "Zh", "Zm9", "Z", "Zm9vY", "Zm9v\n", "Zm9v ", "Zm 9v"})
    EXPECT_FALSE(from_base64url(text)) << text;
}

TEST(Bytes, EveryByteSurvives) {
  Bytes bytes;
  for (int i = 0; i < 256; ++i) {
    bytes.push_back(static_cast<uint8_t>(i));
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
  }
}

TEST(Bytes, Hex) {
  EXPECT_EQ(to_hex(Bytes{0x00, 0x1f, 0xff}), "001fff");
  EXPECT_EQ(from_hex("001FfF"), (Bytes{0x00, 0x1f, 0xff}));
  EXPECT_EQ(from_hex(""), Bytes());
  for (const std::string_view text : {"0", "0g", "g0", "0x00", " 00", "00 ", "-1", "+1"})
    EXPECT_FALSE(from_hex(text)) << text;
}

TEST(Bytes, ConstantTimeEqualCompares) {
  EXPECT_TRUE(constant_time_equal({}, {}));
  EXPECT_TRUE(constant_time_equal(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("bbc")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("ab")));
  for (int bit = 0; bit < 8; ++bit)
    EXPECT_FALSE(constant_time_equal(Bytes{0}, Bytes{static_cast<uint8_t>(1 << bit)})) << bit;
}

TEST(Secret, MovesLeaveNothingBehind) {
  Secret first("token");
  const Secret second = std::move(first);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): the point of the test
  EXPECT_EQ(second, Secret("token"));
  EXPECT_FALSE(second == Secret("tokem"));
  Secret third("other");
  third = second;
  EXPECT_EQ(third.expose_text(), "token");
}

}  // namespace
}  // namespace merlon
