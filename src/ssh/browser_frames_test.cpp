// The page's frames: cut anywhere, bounded, and nothing in them but what a page says.
#include "ssh/browser_frames.h"

#include <gtest/gtest.h>

namespace merlon::ssh {
namespace {

std::string frame_of(BrowserFrameKind kind, uint32_t channel, std::string payload) {
  return encode(BrowserFrame{kind, channel, std::move(payload)});
}

TEST(BrowserFrames, ComeWholeHoweverTheyAreCut) {
  const std::string both = frame_of(BrowserFrameKind::data, 7, std::string(kBrowserPayloadMax, 'x')) +
                           frame_of(BrowserFrameKind::close, 8, "");
  for (const size_t step : {size_t{1}, size_t{9}, size_t{1000}, both.size()}) {
    BrowserFrameBuffer buffer;
    std::vector<BrowserFrame> frames;
    for (size_t at = 0; at < both.size(); at += step) {
      buffer.add(std::string_view(both).substr(at, step));
      for (;;) {
        auto frame = buffer.next();
        ASSERT_TRUE(frame);
        if (!*frame) break;
        frames.push_back(**std::move(frame));
      }
    }
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_EQ(frames[0].channel, 7U);
    EXPECT_EQ(frames[0].payload.size(), kBrowserPayloadMax);
    EXPECT_EQ(frames[1].kind, BrowserFrameKind::close);
    EXPECT_EQ(buffer.size(), 0U);
  }
}

TEST(BrowserFrames, OutOfBoundsOrOfTheProcessAloneAreRefusedBeforeTheyAreKept) {
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\xff\x64\0\0\0\1", 9), std::string("\0\0\0\4\x64\0\0\0\1", 9),
        std::string("\0\1\0\6\x64\0\0\0\1", 9), frame_of(BrowserFrameKind::ready, 0, "{}"),
        frame_of(BrowserFrameKind::end, 0, "{}"), std::string("\0\0\0\5?\0\0\0\1", 9)}) {
    BrowserFrameBuffer buffer;
    buffer.add(bytes);
    EXPECT_FALSE(buffer.next()) << bytes;
  }
}

TEST(BrowserFrames, TheirWordsAreReadStrictly) {
  const auto shell = read_wish(R"({"what":"shell","columns":120,"rows":40})");
  ASSERT_TRUE(shell);
  EXPECT_TRUE(shell->is_shell);
  EXPECT_EQ(shell->size.columns, 120);
  EXPECT_FALSE(read_wish(R"({"what":"sftp"})")->is_shell);
  for (const char* bad :
       {"", "[]", "{", R"({"what":"exec","command":"id"})", R"({"what":"shell"})",
        R"({"what":"shell","columns":0,"rows":24})", R"({"what":"shell","columns":80,"rows":1001})"})
    EXPECT_FALSE(read_wish(bad)) << bad;
  EXPECT_EQ(read_taken("0000fa00"), 64000U);
  for (const char* bad : {"", "fa00", "-000fa00", "0000fa000", "0000fx00", " 000fa00"})
    EXPECT_FALSE(read_taken(bad)) << bad;
}

}  // namespace
}  // namespace merlon::ssh
