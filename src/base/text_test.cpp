// ASCII text and UTF-8 well-formedness.
#include "base/text.h"

#include <gtest/gtest.h>

#include "base/text_runs.h"

namespace merlon {
namespace {

TEST(Text, ComparesAsciiOnly) {
  EXPECT_TRUE(ascii_iequal("Microsoft.Compute", "microsoft.COMPUTE"));
  EXPECT_FALSE(ascii_iequal("a", "ab"));
  EXPECT_FALSE(ascii_iequal("\xc3\x84", "\xc3\xa4"));  // Ä, ä
  EXPECT_FALSE(ascii_iequal("[", "{"));                // 0x5b and 0x7b differ by the case bit alone
  EXPECT_FALSE(ascii_iequal("@", "`"));
  EXPECT_EQ(ascii_lower(std::string_view("AZ[\xc3\x84")), "az[\xc3\x84");
  EXPECT_TRUE(ascii_istarts_with("Bearer x", "bearer "));
  EXPECT_FALSE(ascii_istarts_with("Bear", "bearer"));
}

TEST(Text, SplitsAndJoins) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split("a/b", '/'), (Parts{"a", "b"}));
  EXPECT_EQ(split("", '/'), (Parts{""}));
  EXPECT_EQ(split("/", '/'), (Parts{"", ""}));
  EXPECT_EQ(split("//a/", '/'), (Parts{"", "", "a", ""}));
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({"a", "", "a"}, ", "), "a, , a");
}

TEST(Text, Trims) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(trim("\n"), "\n");
}

TEST(Text, AcceptsUtf8AtEveryBoundary) {
  for (const std::string_view text : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                      "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(text)) << testing::PrintToString(text);
  EXPECT_TRUE(is_utf8(std::string_view("\0", 1)));
}

TEST(Text, RefusesMalformedUtf8) {
  for (const std::string_view text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
        "\xc2"
        "a",
        "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe1\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff",
        "a\xf0\x9f\x92"})
    EXPECT_FALSE(is_utf8(text)) << testing::PrintToString(text);
}

// Each byte at each place of the eight that are looked at together, and beyond them.
TEST(Text, RunsEndAtTheFirstByteThatMatters) {
  for (size_t length = 0; length <= 20; ++length)
    for (size_t at = 0; at <= length; ++at)
      for (unsigned byte = 0; byte < 256; ++byte) {
        std::string text(length, 'x');
        const auto c = static_cast<char>(byte);
        if (at < length) text[at] = c;
        if (at + 1 < length) text[at + 1] = '\n';
        const size_t next = at + 1 < length ? at + 1 : length;
        const bool control = byte < 0x20 || byte == 0x7f;
        const bool escaped = byte < 0x20 || byte == '"' || byte == '\\';
        ASSERT_EQ(run_without_controls(text), at < length && control ? at : next) << byte << " at " << at;
        ASSERT_EQ(run_without_escapes(text), at < length && escaped ? at : next) << byte << " at " << at;
      }
}

TEST(Text, EightBytesAreMadeSmallAsOneIs) {
  for (unsigned byte = 0; byte < 256; ++byte)
    for (unsigned place = 0; place < 64; place += 8) {
      const auto lower = static_cast<uint8_t>(ascii_lower(static_cast<char>(byte)));
      const uint64_t others = 0x5a417e8040ff5b60U & ~(uint64_t{0xff} << place);
      ASSERT_EQ(ascii_lower8(others | uint64_t{byte} << place) >> place & 0xff, lower) << byte;
    }
}

}  // namespace
}  // namespace merlon
