// A picture passes; what would act on the viewer's side does not, however it is written or cut.
#include "recording/terminal_guard.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace merlon::recording {
namespace {

std::string whole(std::string_view bytes) { return TerminalGuard().pass(bytes); }
std::string by_byte(std::string_view bytes) {
  TerminalGuard guard;
  std::string out;
  for (const char c : bytes) out += guard.pass(std::string_view(&c, 1));
  return out;
}

TEST(TerminalGuard, WhatMakesThePicturePasses) {
  for (const std::string text :
       {"hello\r\n", "tab\tback\b", "żółć 漢字 🙂", "\x1b[1;31mred\x1b[0m", "\x1b[38;2;1;2;3mtrue",
        "\x1b[4:3mcurly", "\x1b[2J\x1b[H\x1b[10;20H", "\x1b[K\x1b[1K\x1b[?K",
        "\x1b[3A\x1b[2B\x1b[C\x1b[D\x1b[5G\x1b[4d", "\x1b[2;20r", "\x1b[?1049h\x1b[?25l\x1b[?25;7h",
        "\x1b"
        "7\x1b"
        "8\x1b"
        "D\x1b"
        "E\x1b"
        "M\x1b"
        "H",
        "\x1b[s\x1b[u", "\x1b(0lqk\x1b(B", "\x1b[2L\x1b[M\x1b[3P\x1b[4@\x1b[5X\x1b[S\x1b[T", "\x1b[4h\x1b[4l",
        "\x1b[!p", "\x1b[2 q"}) {
    EXPECT_EQ(whole(text), text);
    EXPECT_EQ(by_byte(text), text);
  }
}

// The viewer's own terminal gets nothing of it, and shows nothing of it either.
void expect_silence(const std::vector<std::string>& all) {
  for (const std::string& hostile : all) {
    const std::string out = whole(hostile + "|");
    EXPECT_EQ(out.find('\x1b'), std::string::npos) << testing::PrintToString(hostile);
    EXPECT_EQ(out.find('\x05'), std::string::npos);
    EXPECT_EQ(out.find('\x07'), std::string::npos);
    EXPECT_TRUE(out.ends_with("|")) << testing::PrintToString(hostile) << " → " << out;
    EXPECT_LE(out.size(), 3U) << testing::PrintToString(hostile);
    EXPECT_EQ(by_byte(hostile + "|"), out);
  }
}

TEST(TerminalGuard, QueriesGetNoAnswer) {
  expect_silence({"\x1b[c",
                  "\x1b[>c",
                  "\x1b[=c",
                  "\x1bZ",
                  "\x05",
                  "\x1b[5n",
                  "\x1b[6n",
                  "\x1b[?6n",
                  "\x1b[x",
                  "\x1b[>q",
                  "\x1b[?1$p",
                  "\x1b[?u",
                  "\x1bP$q\"p\x1b\\",
                  "\x1bP+q544e\x1b\\",
                  "\x1b]4;1;?\x07",
                  "\x1b]10;?\x07",
                  "\x1b[21t",
                  "\x1b[20t",
                  "\x1b]52;c;?\x1b\\",
                  "\x1b[2*x"});
}

TEST(TerminalGuard, ClipboardTitlesLinksAndProgramsAreLeftAlone) {
  expect_silence({"\x1b]52;c;cm0gLXJmIC8K\x07", "\x1b]0;title\x07", "\x1b]2;title\x1b\\", "\x1b[22;0t",
                  "\x1b[8;1;1t", "\x1b[2t", "\x1bP1000p%exit\x1b\\", "\x1bPq#0;2;0;0;0~\x1b\\",
                  "\x1b_Ga=T\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\", "\x1b]8;;file:///etc/passwd\x07",
                  "\x1b]9;notify\x07", "\x1b]777;notify;a;b\x07", "\x1b]1337;File=:AAAA\x07", "\x1b[5i",
                  "\x1b[?5i", "\x1b[4i"});
}

TEST(TerminalGuard, KeyboardMouseAndCharacterSetsStayAsTheyAre) {
  expect_silence({"\x1b[?1000h",
                  "\x1b[?1003h",
                  "\x1b[?1006h",
                  "\x1b[?1004h",
                  "\x1b[?2004h",
                  "\x1b[?1h",
                  "\x1b[?66h",
                  "\x1b=",
                  "\x1b>",
                  "\x1b[20h",
                  "\x1b[2h",
                  "\x1b"
                  "c",
                  "\x1b#8",
                  "\x1b%G",
                  "\x1b n",
                  "\x1b[?25;1000h",
                  "\x1b[>1u",
                  "\x1b[=1;1u",
                  "\x1b[>4;2m",
                  "\x07",
                  "\x0e",
                  "\x0f",
                  "\x1b[1;2;3;4;5T",
                  "\x1b[0;0\"p",
                  "\x1b[1'z",
                  "\x1b|",
                  "\x1b*0"});
}

TEST(TerminalGuard, ControlsOfOneByteAreNone) {
  // CSI and OSC as bytes 0x9b and 0x9d, and as U+009B and U+009D.
  for (const std::string hostile : {"\x9b"
                                    "5n",
                                    "\x9d"
                                    "0;t\x07",
                                    "\xc2\x9b"
                                    "6n",
                                    "\xc2\x9d"
                                    "52;c;YQ==\x07",
                                    "\xc2\x90q\xc2\x9c",
                                    "\xc0\x9b"
                                    "6n",
                                    "\xe0\x82\x9b"
                                    "6n"}) {
    for (const std::string& out : {whole(hostile), by_byte(hostile)}) {
      EXPECT_EQ(out.find('\x9b'), std::string::npos);
      EXPECT_EQ(out.find('\x9d'), std::string::npos);
      EXPECT_EQ(out.find('\x90'), std::string::npos);
    }
  }
}

TEST(TerminalGuard, ASequenceInsideAnotherHidesNothing) {
  EXPECT_EQ(whole("\x1b[1\x1b]52;c;YQ==\x07m"), "m");
  // A string ends at ESC for every terminal, whatever follows: what one person sees nobody else may miss.
  EXPECT_EQ(whole("\x1b]0;\x1b[31mtext\x07ok"), "\x1b[31mtextok");
  for (const char* begin : {"\x1b]", "\x1bP", "\x1bX", "\x1b^", "\x1b_"})
    EXPECT_EQ(whole(std::string(begin) + "0;t\x1b[mshown"), "\x1b[mshown") << begin;
  EXPECT_EQ(whole("\x1b]0;a\x1b\x1b\\z"), "z");
  EXPECT_EQ(whole("\x1b]0;a\x1b]52;c;YQ==\x07z"), "z") << "and what begins there is left out as ever";
  EXPECT_EQ(whole("\x1b[3\n1m"), "\n\x1b[31m");
  EXPECT_EQ(whole("\x1b[6\x18n"), "n");
  EXPECT_EQ(whole("\x1b\x1b]0;a\x07z"), "z");
  EXPECT_EQ(whole("\x1b[" + std::string(10'000, '1') + "mz"), "z");
  EXPECT_EQ(whole("\x1b]0;never finished"), "");
}

TEST(TerminalGuard, TheEndSetsTheTerminalRight) {
  EXPECT_NE(TerminalGuard::reset().find("\x1b[?1049l"), std::string_view::npos);
  EXPECT_NE(TerminalGuard::reset().find("\x1b[?25h"), std::string_view::npos);
}

}  // namespace
}  // namespace merlon::recording
