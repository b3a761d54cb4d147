// A page's session through the edge, its process and OpenSSH's own server: what the page sends and gets, what
// is recorded, and why it ends.
#include "ssh/browser_frames.h"
#include "ssh/edge_fixture.h"
#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Got {
  char kind = 0;
  uint32_t channel = 0;
  std::string payload;
};

class BrowserEndTest : public test::EdgeFixture {
 protected:
  void begin(const std::string& machine = "web-1") {
    const auto socket =
        edge_->serve(std::make_shared<test::Ada>(),
                     {.machine = machine, .login = user_, .bastion = "bst", .port = 22, .client = {}},
                     {*IpAddress::parse("127.0.0.1"), 0});
    ASSERT_TRUE(socket) << socket.error().message;
    page_ = Descriptor(*socket);
  }
  void send(BrowserFrameKind kind, uint32_t channel, const std::string& payload) const {
    const std::string bytes = encode(BrowserFrame{kind, channel, payload});
    ASSERT_EQ(::send(page_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // The next frame for the page; kind 0 when the stream is over.
  Got next() {
    for (;;) {
      WireReader reader(as_bytes(in_));
      const uint32_t length = reader.number32();
      if (in_.size() >= 9 && in_.size() >= length + 4) {
        Got got{static_cast<char>(reader.byte()), reader.number32(), in_.substr(9, length - 5)};
        in_.erase(0, length + 4);
        return got;
      }
      std::array<char, 65536> bytes{};
      pollfd poll{page_.get(), POLLIN, 0};
      if (::poll(&poll, 1, 30'000) <= 0) return {};
      const ssize_t count = ::recv(page_.get(), bytes.data(), bytes.size(), 0);
      if (count <= 0) return {};
      in_.append(bytes.data(), static_cast<size_t>(count));
    }
  }
  Got next_of(char kind) {
    for (;;) {
      Got got = next();
      if (got.kind == kind || got.kind == 0) return got;
      if (got.kind == 'd') shown_[got.channel] += got.payload;
    }
  }
  bool shows(uint32_t channel, const std::string& text) {
    while (shown_[channel].find(text) == std::string::npos) {
      const Got got = next_of('d');
      if (got.kind == 0) return false;
      shown_[got.channel] += got.payload;
    }
    return true;
  }
  void open_shell() {
    begin();
    ASSERT_EQ(next().kind, 'y') << read("sshd.log");
    send(BrowserFrameKind::open, 1, R"({"what":"shell","columns":90,"rows":30})");
  }
  std::string sftp(uint8_t type, const Bytes& body) {
    WireWriter packet;
    packet.number32(static_cast<uint32_t>(body.size() + 1)).byte(type).raw(body);
    return std::string(as_text(packet.bytes()));
  }

  Descriptor page_;
  std::string in_;
  std::map<uint32_t, std::string> shown_;
};

TEST_F(BrowserEndTest, AShellIsShownRecordedAndResized) {
  open_shell();
  send(BrowserFrameKind::data, 1, "stty size; echo here=$((40+2))\r");
  EXPECT_TRUE(shows(1, "here=42"));
  EXPECT_THAT(shown_[1], HasSubstr("30 90"));
  send(BrowserFrameKind::resize, 1, R"({"columns":101,"rows":31})");
  send(BrowserFrameKind::data, 1, "stty size\r");
  EXPECT_TRUE(shows(1, "31 101"));
  send(BrowserFrameKind::data, 1, "exit 3\r");
  const Got closed = next_of('x');
  EXPECT_THAT(closed.payload, HasSubstr("\"exitStatus\":3"));
  EXPECT_THAT(next_of('e').payload, HasSubstr("ShellEnded"));
  EXPECT_EQ(next().kind, 0);
  wait_until_ended();
  EXPECT_THAT(recorded_.output, HasSubstr("here=42"));
  EXPECT_TRUE(recorded_.has("shell", "true"));
  EXPECT_TRUE(recorded_.has("resize", "101"));
  EXPECT_EQ(int_at(recorded_.end_facts, "exitStatus"), 3);
}

// The page's process has no secret either: one apart has signed in.
TEST_F(BrowserEndTest, AShellThatIsSignedInToByASecretIsLikeAnyOther) {
  test::run({"ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", directory_ + "/vault"});
  write("authorized_keys", read("vault.pub"));
  wishes_.secret = MachineSecret{.password = {}, .private_key = Secret(read("vault")), .passphrase = {}};
  open_shell();
  send(BrowserFrameKind::data, 1, "stty size; echo here=$((40+2))\r");
  EXPECT_TRUE(shows(1, "here=42"));
  EXPECT_THAT(shown_[1], HasSubstr("30 90"));
  send(BrowserFrameKind::resize, 1, R"({"columns":101,"rows":31})");
  send(BrowserFrameKind::data, 1, "stty size; exit 3\r");
  EXPECT_TRUE(shows(1, "31 101"));
  EXPECT_THAT(next_of('x').payload, HasSubstr("\"exitStatus\":3"));
  EXPECT_THAT(next_of('e').payload, HasSubstr("ShellEnded"));
  wait_until_ended();
  EXPECT_EQ(wishes_.secrets_asked, 1);
  EXPECT_THAT(recorded_.output, HasSubstr("here=42"));
}

TEST_F(BrowserEndTest, NoMoreIsOnItsWayThanThePageTakes) {
  open_shell();
  send(BrowserFrameKind::data, 1, "head -c 2000000 /dev/zero | tr '\\0' x; echo; echo do''ne\r");
  size_t got = 0;
  pollfd poll{page_.get(), POLLIN, 0};
  while (::poll(&poll, 1, 1500) > 0) got += next().payload.size();
  EXPECT_LE(got, kBrowserWindow);
  EXPECT_GT(got, kBrowserWindow / 2);
  for (size_t told = 0; told < 2'200'000 && shown_[1].find("done") == std::string::npos;) {
    send(BrowserFrameKind::taken, 1, "00010000");
    told += 65536;
    for (; ::poll(&poll, 1, 200) > 0;) {
      const Got part = next();
      ASSERT_NE(part.kind, 0);
      shown_[1] += part.payload;
    }
  }
  EXPECT_TRUE(shows(1, "done"));
}

TEST_F(BrowserEndTest, AnotherMachineThanWasSettledIsRefusedWithTheReason) {
  begin("web-2");
  const Got end = next();
  EXPECT_EQ(end.kind, 'e');
  EXPECT_THAT(end.payload, HasSubstr("You may not reach 'web-2'"));
  EXPECT_EQ(next().kind, 0);
}

TEST_F(BrowserEndTest, ANoticeOfTheEndIsToldAndEndsIt) {
  open_shell();
  send(BrowserFrameKind::data, 1, "echo re''ady\r");
  ASSERT_TRUE(shows(1, "ready"));
  test::FakePassage::tells().back()({false, "DeadlineNear", "two minutes are left"});
  EXPECT_THAT(next_of('n').payload, HasSubstr("two minutes are left"));
  test::FakePassage::tells().back()({true, "Disconnected", "an administrator has ended it"});
  EXPECT_THAT(next_of('e').payload, HasSubstr("an administrator has ended it"));
  wait_until_ended();
  EXPECT_THAT(recorded_.all(), HasSubstr("ended Disconnected"));
  EXPECT_THAT(recorded_.output, HasSubstr("an administrator has ended it"));
}

TEST_F(BrowserEndTest, NothingPassesWhileNoModeratorIsThere) {
  wishes_.allowed.held_because = "somebody has to join.";
  test::FakePassage::tells().clear();
  const auto is_quiet = [this] {
    pollfd poll{page_.get(), POLLIN, 0};
    return in_.empty() && ::poll(&poll, 1, 800) == 0;
  };
  const auto drain = [&] {
    while (!is_quiet()) ASSERT_NE(next().kind, 0);
  };
  open_shell();
  EXPECT_THAT(next_of('n').payload, HasSubstr("somebody has to join."));
  send(BrowserFrameKind::data, 1, "echo he''re\r");
  EXPECT_TRUE(is_quiet());
  {
    const std::lock_guard lock(recorded_.mutex);
    EXPECT_TRUE(recorded_.facts.empty()) << "no shell has begun";
  }
  const auto tell = [](bool hold, const char* message) {
    test::FakePassage::tells().back()(
        {.ends = false, .reason = "Moderation", .message = message, .hold = hold});
  };
  tell(false, "bob has joined.");
  EXPECT_THAT(next_of('n').payload, HasSubstr("bob has joined."));
  EXPECT_TRUE(shows(1, "here"));
  send(BrowserFrameKind::data, 1, "sleep 0.7; echo own''words\r");
  tell(true, "held.");
  EXPECT_THAT(next_of('n').payload, HasSubstr("held."));
  drain();
  send(BrowserFrameKind::data, 1, "echo la''te\r");
  EXPECT_TRUE(is_quiet()) << "neither what was typed nor what the machine says";
  EXPECT_EQ(shown_[1].find("ownwords"), std::string::npos);
  tell(false, "bob is back.");
  EXPECT_TRUE(shows(1, "ownwords"));
  EXPECT_TRUE(shows(1, "late"));
}

// Whoever is held cannot fill the process's memory either.
TEST_F(BrowserEndTest, WhatWaitsIsBounded) {
  wishes_.allowed.held_because = "somebody has to join.";
  test::FakePassage::tells().clear();
  open_shell();
  EXPECT_THAT(next_of('n').payload, HasSubstr("somebody has to join."));
  const std::string bytes = encode(BrowserFrame{BrowserFrameKind::data, 1, std::string(32 * 1024, '\n')});
  size_t sent = 0;
  for (int quiet = 0; quiet < 10 && sent < 64 * 1024 * 1024;) {
    const ssize_t count = ::send(page_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) sent += static_cast<size_t>(count);
    quiet = count > 0 ? 0 : quiet + 1;
    if (count <= 0) ::usleep(100'000);
  }
  EXPECT_LT(sent, 8U * 1024 * 1024);
}

TEST_F(BrowserEndTest, WhatPolicyDoesNotLetThroughIsRefusedByChannelAndDirection) {
  wishes_.allowed.shell = false;
  wishes_.allowed.upload = false;
  begin();
  const Got ready = next();
  EXPECT_THAT(ready.payload, HasSubstr("\"shell\":false"));
  send(BrowserFrameKind::open, 1, R"({"what":"shell","columns":80,"rows":24})");
  EXPECT_THAT(next_of('x').payload, HasSubstr("no shell"));
  send(BrowserFrameKind::open, 2, R"({"what":"sftp"})");
  send(BrowserFrameKind::data, 2, sftp(1, WireWriter().number32(3).take()));
  ASSERT_TRUE(shows(2, std::string("\x02\0\0\0\x03", 5)));
  // SSH_FXP_OPEN with SSH_FXF_WRITE and SSH_FXF_CREAT.
  const std::string path = directory_ + "/not-to-be";
  send(BrowserFrameKind::data, 2,
       sftp(3, WireWriter().number32(9).string(path).number32(0x0a).number32(0).take()));
  ASSERT_TRUE(shows(2, std::string("\x65\0\0\0\x09\0\0\0\x03", 9)));  // SSH_FXP_STATUS, permission denied
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(BrowserEndTest, ChannelsOutOfTurnAndBrokenFramesEndTheSession) {
  for (const std::string& bad :
       {encode(BrowserFrame{BrowserFrameKind::data, 5, "x"}),
        encode(BrowserFrame{BrowserFrameKind::open, 0, R"({"what":"sftp"})"}),
        encode(BrowserFrame{BrowserFrameKind::open, 1, R"({"what":"exec"})"}),
        std::string("\xff\xff\xff\xff....."), encode(BrowserFrame{BrowserFrameKind::end, 0, "{}"})}) {
    begin();
    ASSERT_EQ(next().kind, 'y');
    ASSERT_GT(::send(page_.get(), bad.data(), bad.size(), MSG_NOSIGNAL), 0);
    EXPECT_THAT(next_of('e').payload, HasSubstr("InvalidFrame"));
    EXPECT_EQ(next().kind, 0);
  }
}

TEST_F(BrowserEndTest, WhatCannotBeRecordedEnds) {
  wishes_.recording_fails = true;
  open_shell();
  EXPECT_THAT(next_of('e').payload, HasSubstr("RecordingFailed"));
}

}  // namespace
}  // namespace merlon::ssh
