// A recorded session's forwards and SSH in them.
#include "ssh/shell_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace merlon::ssh {
namespace {

class ShellWatchTest : public ::testing::Test {
 protected:
  std::string up(std::string_view bytes) { return watch_.from_person(bytes, answer_); }
  std::string down(std::string_view bytes) { return watch_.from_machine(bytes); }
  std::string answer_;
  int found_ = 0;
  ShellWatch watch_{[this] { ++found_; }};
};

TEST_F(ShellWatchTest, WhatIsNoShellPassesAsItCame) {
  EXPECT_EQ(up("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string page = "HTTP/1.1 200 OK\r\n\r\nwhat servers say:\nSSH-2.0-OpenSSH_9.2\n";
  EXPECT_EQ(down(page), page);
  EXPECT_EQ(found_, 0);
  EXPECT_EQ(watch_.objection(), "");
}

// PostgreSQL's whole answer to whether it speaks TLS: who waits for more before it goes on waits for good.
TEST_F(ShellWatchTest, NothingIsHeldBack) {
  EXPECT_EQ(up(std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8)).size(), 8U);
  EXPECT_EQ(down("S"), "S");
  EXPECT_EQ(down("\x16\x03\x03"), "\x16\x03\x03");
  EXPECT_EQ(down("\nSSH-"), "\nSSH-") << "after what is no text there is no line";
  EXPECT_EQ(found_, 0);
}

TEST_F(ShellWatchTest, AServersIdentificationEndsIt) {
  EXPECT_EQ(down("SSH-2.0-OpenSSH_9.2\r\n"), "");
  EXPECT_EQ(found_, 1);
  EXPECT_NE(watch_.objection(), "");
  EXPECT_EQ(down("more"), "");
  EXPECT_EQ(up("SSH-2.0-client\r\n"), "");
  EXPECT_EQ(found_, 1) << "told once";
}

TEST_F(ShellWatchTest, AClientsIdentificationEndsIt) {
  EXPECT_EQ(up("SSH-2.0-client\r\n"), "");
  EXPECT_EQ(found_, 1);
  EXPECT_EQ(down("SSH-2.0-OpenSSH_9.2\r\n"), "");
}

TEST_F(ShellWatchTest, PiecesAndLinesBeforeItHideNothing) {
  EXPECT_EQ(down("Authorised use only.\r"), "Authorised use only.\r");
  EXPECT_EQ(down("\nS"), "\nS");
  EXPECT_EQ(down("OS SSH-2.0"), "OS SSH-2.0") << "within a line it is none";
  EXPECT_EQ(down("\nSS"), "\nSS");
  EXPECT_EQ(down("H"), "H");
  EXPECT_EQ(down("-2.0-x\r\n"), "");
  EXPECT_EQ(found_, 1);
}

TEST_F(ShellWatchTest, WhatIsNoTextIsNoLineBeforeIt) {
  EXPECT_EQ(down(std::string("\x16\x03\x01\nSSH-2.0", 11)).size(), 11U);
  EXPECT_EQ(found_, 0);
}

TEST_F(ShellWatchTest, LongTextIsNotLookedThroughForEver) {
  const std::string line = "a line of a log that somebody follows\n";
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(down(line), line);
  EXPECT_EQ(down("SSH-2.0 stands here\n"), "SSH-2.0 stands here\n");
  EXPECT_EQ(found_, 0);
}

}  // namespace
}  // namespace merlon::ssh
