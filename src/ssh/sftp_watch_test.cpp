// SFTP as it passes: what policy refuses is answered here, in whole packets, and what goes on is what came.
#include "ssh/sftp_watch.h"

#include <gtest/gtest.h>

#include "ssh/data_command.h"
#include "ssh/frames.h"
#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

std::string packet(const WireWriter& body) {
  return std::string(as_text(WireWriter().string(body.bytes()).bytes()));
}
std::string open(uint32_t id, std::string_view path, uint32_t flags) {
  WireWriter body;
  body.byte(3).number32(id).string(path).number32(flags).number32(0);
  return packet(body);
}
std::string handle(uint32_t id, std::string_view name) {
  WireWriter body;
  body.byte(102).number32(id).string(name);
  return packet(body);
}

struct Watched {
  explicit Watched(SftpWatch::Policy policy)
      : watch(policy, [this](JsonObject facts) { told += to_text(facts) + "\n"; }) {}
  std::string told, answer;
  SftpWatch watch;
};

TEST(SftpWatch, CountsWhatIsWrittenUntilTheFileIsClosed) {
  Watched watched({true, true});
  const std::string asked = open(1, "/tmp/a", 0x1a);
  EXPECT_EQ(watched.watch.from_person(asked, watched.answer), asked);
  EXPECT_EQ(watched.watch.from_machine(handle(1, "h")), handle(1, "h"));
  WireWriter write;
  write.byte(6).number32(2).string("h").number64(0).string("hello");
  watched.watch.from_person(packet(write), watched.answer);
  WireWriter close;
  close.byte(4).number32(3).string("h");
  watched.watch.from_person(packet(close), watched.answer);
  WireWriter status;
  status.byte(101).number32(3).number32(0).string("").string("");
  watched.watch.from_machine(packet(status));
  EXPECT_EQ(watched.told, "{\"path\":\"/tmp/a\",\"direction\":\"upload\",\"bytes\":5,\"complete\":true}\n");
  EXPECT_TRUE(watched.answer.empty());
}

WireWriter request(uint8_t type, uint32_t id, std::string_view handle) {
  WireWriter body;
  body.byte(type).number32(id).string(handle);
  if (type == 5) body.number64(0).number32(10);
  return body;
}

// Answers are known by their number: with two of one number under way, the file of the one would be told as
// the other's.
TEST(SftpWatch, NoNumberIsUsedTwiceAtOnce) {
  Watched watched({true, true});
  EXPECT_NE(watched.watch.from_person(open(1, "/etc/secret", 1), watched.answer), "");
  EXPECT_EQ(watched.watch.from_person(open(1, "/tmp/harmless", 1), watched.answer), "");
  EXPECT_NE(watched.watch.from_person(packet(request(17, 2, "/etc")), watched.answer), "");
  EXPECT_EQ(watched.watch.from_person(open(2, "/etc/secret", 1), watched.answer), "")
      << "an open behind a stat of the same number";
  watched.watch.from_machine(handle(1, "h"));
  WireWriter data;
  data.byte(103).number32(3).string("0123456789");
  EXPECT_NE(watched.watch.from_person(packet(request(5, 3, "h")), watched.answer), "");
  watched.watch.from_machine(packet(data));
  watched.watch.ended();
  EXPECT_EQ(watched.told,
            "{\"path\":\"/etc/secret\",\"direction\":\"download\",\"bytes\":10,\"complete\":false}\n");
}

TEST(SftpWatch, WhatWasNotSeenOpenedIsNeitherReadNorWritten) {
  Watched watched({true, true});
  EXPECT_EQ(watched.watch.from_person(packet(request(5, 1, "guessed")), watched.answer), "");
  WireWriter write;
  write.byte(6).number32(2).string("guessed").number64(0).string("hello");
  EXPECT_EQ(watched.watch.from_person(packet(write), watched.answer), "");
  EXPECT_NE(watched.answer.find("no such file opened"), std::string::npos);
}

TEST(SftpWatch, AFileThatIsWrittenAndReadIsToldBothWays) {
  Watched watched({true, true});
  watched.watch.from_person(open(1, "/tmp/a", 3), watched.answer);
  watched.watch.from_machine(handle(1, "h"));
  watched.watch.from_person(packet(request(5, 2, "h")), watched.answer);
  WireWriter data;
  data.byte(103).number32(2).string("0123456789");
  watched.watch.from_machine(packet(data));
  watched.watch.ended();
  EXPECT_NE(watched.told.find("\"direction\":\"upload\",\"bytes\":0"), std::string::npos) << watched.told;
  EXPECT_NE(watched.told.find("\"direction\":\"download\",\"bytes\":10"), std::string::npos) << watched.told;
}

TEST(SftpWatch, ItsAnswersDoNotPileUpBehindAPacketThatNeverEnds) {
  Watched watched({false, true});
  watched.watch.from_machine(handle(1, "a handle").substr(0, 6));
  for (uint32_t i = 0; i < 10'000; ++i) watched.watch.from_person(open(i, "/tmp/a", 0x1a), watched.answer);
  EXPECT_EQ(watched.watch.from_person(packet(request(17, 1, "/")), watched.answer), "") << "it is lost";
}

TEST(SftpWatch, RefusesByDirection) {
  Watched no_upload({false, true});
  EXPECT_EQ(no_upload.watch.from_person(open(7, "/tmp/a", 0x1a), no_upload.answer), "");
  EXPECT_NE(no_upload.answer.find("policy"), std::string::npos);
  const std::string reads = open(8, "/tmp/a", 1);
  EXPECT_EQ(no_upload.watch.from_person(reads, no_upload.answer), reads);
  for (const int type : {6, 9, 10, 13, 14, 15, 18, 20}) {
    WireWriter body;
    body.byte(static_cast<uint8_t>(type)).number32(9).string("x").string("y").number64(0);
    EXPECT_EQ(no_upload.watch.from_person(packet(body), no_upload.answer), "") << type;
  }
  Watched no_download({true, false});
  EXPECT_EQ(no_download.watch.from_person(open(1, "/tmp/a", 1), no_download.answer), "");
  EXPECT_EQ(no_download.watch.from_person(open(1, "/tmp/a", 3), no_download.answer), "")
      << "to read and write";
  WireWriter read;
  read.byte(5).number32(2).string("h").number64(0).number32(10);
  EXPECT_EQ(no_download.watch.from_person(packet(read), no_download.answer), "")
      << "whatever it was opened for";
}

TEST(SftpWatch, AnExtensionThatCopiesOrLinksIsUnknown) {
  Watched watched({true, true});
  for (const char* name : {"copy-data", "hardlink@openssh.com", "made-up"}) {
    WireWriter body;
    body.byte(200).number32(1).string(name).string("a").string("b");
    EXPECT_EQ(watched.watch.from_person(packet(body), watched.answer), "") << name;
  }
  uint32_t id = 0;
  for (const char* name : {"limits@openssh.com", "users-groups-by-id@openssh.com"}) {
    WireWriter body;
    body.byte(200).number32(++id).string(name).string("").string("");
    EXPECT_EQ(watched.watch.from_person(packet(body), watched.answer), packet(body)) << name;
  }
}

TEST(SftpWatch, ItsAnswerWaitsForTheMachinesPacketToBeWhole) {
  Watched watched({false, true});
  const std::string shown = handle(1, "a handle");
  EXPECT_EQ(watched.watch.from_machine(shown.substr(0, 6)), "");
  watched.watch.from_person(open(7, "/tmp/a", 0x1a), watched.answer);
  EXPECT_EQ(watched.answer, "");
  const std::string rest = watched.watch.from_machine(shown.substr(6));
  EXPECT_TRUE(rest.starts_with(shown));
  EXPECT_NE(rest.find("policy"), std::string::npos);
}

TEST(SftpWatch, WhatIsNoSftpGoesNoFurther) {
  Watched watched({true, true});
  EXPECT_EQ(watched.watch.from_person("GET / HTTP/1.1\r\n\r\n", watched.answer), "");
  EXPECT_EQ(watched.watch.from_person(open(1, "a", 1), watched.answer), "");
}

TEST(DataCommand, KnowsWhichWayFilesGo) {
  EXPECT_TRUE(data_command("scp -t /tmp").sends);
  EXPECT_TRUE(data_command("/usr/bin/scp -v -r -f -- /tmp").fetches);
  EXPECT_TRUE(data_command("rsync --server -vlogDtpre.iLsfxC . x").sends);
  EXPECT_TRUE(data_command("rsync --server --sender -vlogDtpre.iLsfxC . x").fetches);
  EXPECT_TRUE(data_command("git-receive-pack 'repo'").sends);
  EXPECT_TRUE(data_command("git-upload-pack 'repo'").fetches);
  for (const char* other : {"uptime", "scp", "rsync --help", "", "echo -t"})
    EXPECT_FALSE(data_command(other).is_protocol) << other;
}

// What is let through where no commands are, and not recorded word by word, must be the protocol and nothing
// else.
TEST(DataCommand, IsAProtocolOnlyAsClientsHaveIt) {
  for (const char* client :
       {"scp -t /tmp", "scp -f -- *.txt", "scp -f ./*.txt", "scp -f a*", "scp -r -p -d -t -- '/a b'",
        "/usr/bin/scp -v -f -- ~/x*", "scp -pf 'it'\\''s'", "scp -f a\\ b",
        "rsync --server -vlogDtpre.iLsfxC . x", "rsync --server --sender -vlogDtpre.iLsfxC . x\\ y",
        "git-receive-pack 'repo'", "/usr/bin/git-upload-pack '/srv/it'\\!''", "/usr/lib/openssh/sftp-server"})
    EXPECT_TRUE(data_command(client).is_protocol) << client;
  for (const char* other : {"scp -t x; id",
                            "scp -t x\nid",
                            "scp -f x && id",
                            "scp -f x|sh",
                            "scp -t $(id)",
                            "scp -t `id`",
                            "scp -t x >y",
                            "scp -t \"$(id)\"",
                            "scp -t 'x",
                            "scp -t x\\",
                            "scp -oProxyCommand=test -t x",
                            "scp -Stest a h:b",
                            "scp a\\ -t h:b",
                            "scp a -t",
                            "scp -t a -S x",
                            "/tmp/scp -t x",
                            "./scp -t x",
                            "/usr/bin/../../tmp/scp -t x",
                            "scp -t {-S,x}",
                            "rsync --server --daemon --config=x .",
                            "rsync -e sh --server . x",
                            "/home/a/rsync --server . x",
                            "rsync --server . x;id",
                            "rsync --server -se.LsfxC",
                            "rsync --server -vse.LsfxC . x",
                            "rsync --server --protect-args -e.LsfxC",
                            "rsync --server --sender -e.LsfxC '--remove-source-files' . /x",
                            "rsync --server --sender -e.LsfxC \\--log-file=/home/u/.ssh/rc . /x",
                            "rsync --server --sender -e.LsfxC . /x '--log-file=/home/u/.ssh/rc'",
                            "rsync --server --sender -e.LsfxC --partial-dir --log-file=/x . /x",
                            "rsync --server --sender -e.LsfxC 'a -- ' --log-file=/x . /x",
                            "rsync --server -e.LsfxC --files-from=/etc/shadow . /x",
                            "rsync --server -f '. /etc/shadow' . /x",
                            "rsync --server -vMx . /x",
                            "rsync --server --temp-dir /x . /x",
                            "scp -tf /etc/shadow",
                            "scp -t -f /etc/shadow",
                            "scp -t *",
                            "scp -t ''*",
                            "rsync --server ''?-daemon",
                            "scp * -t -- x",
                            "scp -t ?f secret",
                            "scp -t [-]f secret",
                            "rsync --server *",
                            "rsync --server -e.LsfxC . ?-daemon",
                            "git-upload-pack *",
                            "scp -t 'a\\'b",
                            "git-upload-pack 'a';id",
                            "git-upload-pack --x 'a'",
                            "git-receive-pack 'a' 'b'",
                            "sftp-server -d / ; id",
                            "X=1 scp -t x"})
    EXPECT_FALSE(data_command(other).is_protocol) << other;
  // They are refused by their direction all the same.
  EXPECT_TRUE(data_command("scp -t x; id").sends);
  EXPECT_TRUE(data_command("scp -f x | sh").fetches);
  EXPECT_TRUE(data_command("rsync --server --sender --remove-source-files . x").sends);
}

// Which way files go is read as the program reads it: what is quoted is quoted for the shell alone.
TEST(DataCommand, QuotingHidesNoDirection) {
  for (const char* fetches :
       {"rsync --server '--sender' -e.LsfxC . /etc", "rsync --server \\--sender -e.LsfxC . /etc",
        "scp '-f' /etc/shadow", "scp -tf /etc/shadow", "'scp' -f x"})
    EXPECT_TRUE(data_command(fetches).fetches) << fetches;
  for (const char* sends : {"scp '-t' x", "scp -tf x", "'rsync' --server -e.LsfxC . x",
                            "rsync --server --sender -e.LsfxC '--remove-source-files' . /x",
                            "rsync --server --sender -e.LsfxC \\--log-file=/home/u/.ssh/rc . /x"})
    EXPECT_TRUE(data_command(sends).sends) << sends;
  const DataCommand fetch = data_command("rsync --server '--sender' -e.LsfxC . /etc");
  EXPECT_TRUE(fetch.is_protocol);
  EXPECT_FALSE(fetch.sends);
}

// As rsync 3.2's client has them (-avz --delete --partial-dir, --files-from, --log-format of -i, …).
TEST(DataCommand, TakesWhatRsyncsClientsSend) {
  for (const char* client :
       {"rsync --server -vlogDtprze.iLsfxCIvu --delete --partial-dir .rsync-partial . /srv/www",
        "rsync --server --sender -vlogDtprze.iLsfxCIvu --numeric-ids . /srv/www",
        "rsync --server -vvnlHogDtpAXrxe.iLsfxCIvu --log-format=%i --bwlimit=1000 --timeout=30 --inplace . x",
        "rsync --server --sender -de.LsfxCIvu --files-from=- --from0 . /",
        "rsync --server -logDtpre.iLsfxCIvu --link-dest ../before . now"})
    EXPECT_TRUE(data_command(client).is_protocol) << client;
}

TEST(Frames, AreCutFromAnyStream) {
  const std::string stream = encode({FrameKind::output, 3, "hello"}) + encode({FrameKind::ask, 0, ""}) +
                             encode({FrameKind::output, 4, std::string(50'000, 'x')});
  for (const size_t cut : {size_t{1}, size_t{2}, size_t{5}, size_t{13}, size_t{40'000}, stream.size()}) {
    FrameBuffer buffer;
    std::vector<std::pair<uint32_t, std::string>> got;
    for (size_t i = 0; i < stream.size(); i += cut) {
      const auto fed = buffer.feed(std::string_view(stream).substr(i, cut), [&](const Frame& frame) {
        got.emplace_back(frame.session, frame.payload);
        return true;
      });
      ASSERT_TRUE(fed && *fed);
    }
    ASSERT_EQ(got.size(), 3U) << cut;
    EXPECT_EQ(got[0], std::pair(3U, std::string("hello")));
    EXPECT_EQ(got[1], std::pair(0U, std::string()));
    EXPECT_EQ(got[2], std::pair(4U, std::string(50'000, 'x')));
  }
}

TEST(Frames, AfterOneThatIsRefusedNoneIsShown) {
  const std::string stream = encode({FrameKind::output, 3, "a"}) + encode({FrameKind::output, 3, "b"});
  for (const size_t cut : {size_t{3}, stream.size()}) {
    FrameBuffer buffer;
    int shown = 0;
    const auto refuse = [&](const Frame&) { return ++shown > 1; };
    bool goes_on = true;
    for (size_t i = 0; i < stream.size() && goes_on; i += cut)
      goes_on = *buffer.feed(std::string_view(stream).substr(i, cut), refuse);
    EXPECT_FALSE(goes_on);
    EXPECT_EQ(shown, 1);
  }
}

TEST(Frames, WithoutBoundsOrOfNoKindAreTheEnd) {
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\xff"
                    "o\0\0\0\1",
                    9),
        std::string("\0\0\0\5z\0\0\0\1", 9), std::string("\0\0\0\1o\0\0\0\1", 9)}) {
    FrameBuffer buffer;
    EXPECT_FALSE(buffer.feed(bytes, [](const Frame&) { return true; }));
  }
}

TEST(Questions, AreReadStrictly) {
  EXPECT_TRUE(read_question(R"({"ask":"begin"})"));
  EXPECT_FALSE(read_question(R"({"ask":"other"})"));
  EXPECT_FALSE(read_question(R"({"ask":"key","blob":"%%"})"));
  EXPECT_TRUE(read_question(R"({"ask":"admit","machine":"web-1","login":"admin","bastion":"","port":22})"));
  EXPECT_FALSE(read_question(R"({"ask":"admit","machine":"web 1","login":"admin","bastion":"","port":22})"));
  EXPECT_FALSE(read_question(R"({"ask":"admit","machine":"web-1","login":"","bastion":"","port":22})"));
  EXPECT_FALSE(
      read_question(R"({"ask":"admit","machine":"web-1","login":"admin","bastion":"","port":70000})"));
}

}  // namespace
}  // namespace merlon::ssh
