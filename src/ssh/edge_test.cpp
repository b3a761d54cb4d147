// Plain OpenSSH through the edge to OpenSSH's own server: both sides are ended, so that everything is seen.
#include <sys/resource.h>

#include <thread>

#include "ssh/edge_fixture.h"
#include "ssh/libssh_handles.h"
#include "ssh/session_process.h"

namespace merlon::ssh {
namespace {

using test::Ran;
using testing::HasSubstr;
using testing::Not;

// What the edge starts for each connection, in the tests' own program.
TEST(SessionProcess, DISABLED_OfTheTests) {
  if (::fcntl(kServerDescriptor, F_GETFD) >= 0) ::_exit(run_session_process());
}

class EdgeTest : public test::EdgeFixture {};

bool connect_to(const Descriptor& socket, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

Descriptor new_socket() { return Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

// How the edge begins: with SSH's first four characters, with "gone", or with "nothing" for long.
std::string beginning(const Descriptor& socket) {
  pollfd poll{socket.get(), POLLIN, 0};
  std::array<char, 256> bytes{};
  if (::poll(&poll, 1, 20'000) != 1) return "nothing";
  const ssize_t count = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
  return count >= 4 ? std::string(bytes.data(), 4) : "gone";
}

// While it is there no descriptor can be had.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = 200;
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (;;) {
      Descriptor one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!one.is_open()) break;
      all_.push_back(std::move(one));
    }
  }
  ~NoDescriptors() {
    all_.clear();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
  std::vector<Descriptor> all_;
};

TEST_F(EdgeTest, ACommandRunsAndItsStatusComesBack) {
  const Ran ran = ssh({}, {"echo out; echo err >&2; exit 7"});
  EXPECT_EQ(ran.status, 7) << ran.out << read("sshd.log");
  EXPECT_THAT(ran.out, HasSubstr("out\n"));
  EXPECT_THAT(ran.out, HasSubstr("err\n"));
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("command", "exit 7")) << recorded_.all();
  EXPECT_THAT(recorded_.all(), HasSubstr("out\n"));
  EXPECT_THAT(recorded_.all(), HasSubstr("ended ClientClosed"));
  EXPECT_EQ(int_at(recorded_.end_facts, "exitStatus"), 7);
}

// The machine's end of output, and much later its exit status and its close: they were never read once.
TEST_F(EdgeTest, AStatusThatComesLongAfterTheLastByteComesBack) {
  std::vector<std::string> words{"timeout", "30", "ssh", "-p", port_};
  const auto options = ssh_options();
  words.insert(words.end(), options.begin(), options.end());
  words.insert(words.end(), {std::string(user_) + "+web-1@127.0.0.1",
                             "echo out; echo err >&2; exec >&- 2>&-; sleep 1; exit 9"});
  const Ran ran = test::run(words);
  EXPECT_EQ(ran.status, 9) << ran.out << recorded_.all();
  EXPECT_THAT(ran.out, HasSubstr("out\n"));
  EXPECT_THAT(ran.out, HasSubstr("err\n"));
}

TEST_F(EdgeTest, ATerminalIsRecordedWithItsSize) {
  const Ran ran = ssh({"-tt"}, {"stty size; tty -s && echo terminal"});
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("terminal"));
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("command", "\"terminal\":true")) << recorded_.all();
  EXPECT_THAT(recorded_.all(), HasSubstr("terminal\r\n"));
}

TEST_F(EdgeTest, AJumpIsEndedToo) {
  std::vector<std::string> words{"ssh"};
  const auto options = ssh_options();
  words.insert(words.end(), options.begin(), options.end());
  write("config",
        "Host *\n  UserKnownHostsFile " + directory_ + "/known_hosts\n  IdentityFile " + directory_ +
            "/id\n  IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n");
  const Ran ran = test::run({"ssh", "-F", directory_ + "/config", "-J", "ada@127.0.0.1:" + port_,
                             std::string(user_) + "@web-1", "echo through the jump"});
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("through the jump"));
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("command", "through the jump")) << recorded_.all();
}

TEST_F(EdgeTest, AnotherMachineIsRefusedInWords) {
  const Ran ran = ssh({}, {"id"}, "web-2");
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("You may not reach 'web-2'"));
}

TEST_F(EdgeTest, AChangedHostKeyIsRefused) {
  wishes_.machine_host_key =
      PublicKey::of(crypto::PrivateKey::generate(crypto::KeyKind::ed25519)->public_key()).line();
  const Ran ran = ssh({}, {"id"});
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("is none of those that are known of it"));
  EXPECT_THAT(ran.out, Not(HasSubstr("uid=")));
}

TEST_F(EdgeTest, AnUnknownKeyIsNobodys) {
  desk_.known_key = {1};
  const Ran ran = ssh({}, {"id"});
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("Permission denied"));
}

class ImpatientEdgeTest : public test::EdgeFixture {
 protected:
  ImpatientEdgeTest() {
    limits_.failures_max = 2;
    limits_.obey_within = std::chrono::seconds(1);
  }
};

// What was taken over by what somebody sent does as it likes: here it does nothing any more.
TEST_F(ImpatientEdgeTest, AProcessThatDoesNotEndItsSessionIsKilled) {
  test::FakePassage::tells().clear();
  std::thread later([this] {
    for (int i = 0; i < 300 && !recorded_.has("command", "sleep 60"); ++i) ::usleep(50'000);
    const std::string own = std::to_string(::getpid());
    EXPECT_EQ(test::run({"pkill", "-STOP", "-P", own, "-f", "SessionProcess"}).status, 0);
    test::FakePassage::tells().back()({true, "Disconnected", "somebody has ended this session."});
  });
  const Ran ran = ssh({}, {"sleep 60"});
  later.join();
  EXPECT_EQ(ran.status, 255) << ran.out;
  wait_until_ended();
  EXPECT_THAT(recorded_.all(), HasSubstr("ended Disconnected"));
}

TEST_F(ImpatientEdgeTest, KeysThatAreTriedBeforeTheRightOneAreNoFailures) {
  test::run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory_ + "/other"});
  for (int i = 0; i < 4; ++i) {
    std::vector<std::string> words{"ssh", "-p", port_, "-i", directory_ + "/other"};
    const auto options = ssh_options();
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {std::string(user_) + "+web-1@127.0.0.1", "true"});
    const Ran ran = test::run(words);
    EXPECT_EQ(ran.status, 0) << i << ": " << ran.out;
  }
  EXPECT_EQ(desk_.refused, 4);
  const Bytes known = std::exchange(desk_.known_key, {1});
  for (int i = 0; i < 2; ++i) EXPECT_THAT(ssh({}, {"true"}).out, HasSubstr("Permission denied"));
  for (int i = 0; i < 400 && edge_->connections() != 0; ++i) ::usleep(25'000);
  desk_.known_key = known;
  EXPECT_EQ(ssh({}, {"true"}).status, 255) << "after two that nobody signed in at, others wait as well";
}

TEST_F(EdgeTest, ManyBytesGoBothWaysUnchanged) {
  write("big", std::string(3'000'000, 'x') + "end");
  const Ran up = test::run({"scp", "-O", "-P", port_, "-F", "none", "-o",
                            "UserKnownHostsFile=" + directory_ + "/known_hosts", "-o", "BatchMode=yes", "-i",
                            directory_ + "/id", directory_ + "/big",
                            std::string(user_) + "+web-1@127.0.0.1:" + directory_ + "/there"});
  EXPECT_EQ(up.status, 0) << up.out;
  const Ran down =
      test::run({"scp", "-P", port_, "-F", "none", "-o", "UserKnownHostsFile=" + directory_ + "/known_hosts",
                 "-o", "BatchMode=yes", "-i", directory_ + "/id",
                 std::string(user_) + "+web-1@127.0.0.1:" + directory_ + "/there", directory_ + "/back"});
  EXPECT_EQ(down.status, 0) << down.out;
  EXPECT_EQ(read("back"), read("big"));
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("transfer", "\"bytes\":3000003,\"complete\":true")) << recorded_.all();
}

TEST_F(EdgeTest, WhatIsShownIsOnTheRecordByteForByte) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "line " + std::to_string(i) + " of many\n";
  write("text", text);
  const Ran ran = ssh({}, {"cat " + directory_ + "/text"});
  EXPECT_TRUE(ran.out == text) << ran.out.size() << " of " << text.size();
  wait_until_ended();
  EXPECT_TRUE(recorded_.output == text) << recorded_.output.size() << " of " << text.size();
}

// While keys are exchanged anew libssh takes nothing of a write, which is then made again. Here that is every
// 16 KiB.
TEST_F(EdgeTest, WhatAWriteDoesNotTakeIsNeitherLostNorRecordedTwice) {
  std::string text;
  for (int i = 0; i < 60'000; ++i) text += "line " + std::to_string(i) + " of many\n";
  write("text", text);
  const Ran down = ssh({"-o", "RekeyLimit=16K"}, {"cat " + directory_ + "/text"});
  EXPECT_TRUE(down.out == text) << down.out.size() << " of " << text.size();
  const Ran up = test::run({"scp", "-O", "-P", port_, "-F", "none", "-o", "RekeyLimit=16K", "-o",
                            "UserKnownHostsFile=" + directory_ + "/known_hosts", "-o", "BatchMode=yes", "-i",
                            directory_ + "/id", directory_ + "/text",
                            std::string(user_) + "+web-1@127.0.0.1:" + directory_ + "/there"});
  EXPECT_EQ(up.status, 0) << up.out;
  EXPECT_TRUE(read("there") == text) << read("there").size() << " of " << text.size();
  wait_until_ended();
  EXPECT_TRUE(recorded_.output == text) << recorded_.output.size() << " of " << text.size();
}

TEST_F(EdgeTest, WhatIsNotRecordedIsNotTold) {
  wishes_.allowed.recorded = false;
  const Ran ran = ssh({}, {"echo out; echo err >&2"});
  EXPECT_THAT(ran.out, HasSubstr("out\n"));
  wait_until_ended();
  EXPECT_EQ(recorded_.output, "");
  EXPECT_TRUE(recorded_.has("command", "echo out")) << recorded_.all();
}

TEST_F(EdgeTest, FilesGoOnlyWherePolicyLetsThem) {
  wishes_.allowed.upload = false;
  write("here", "secret");
  const std::string there = std::string(user_) + "+web-1@127.0.0.1:" + directory_;
  const std::vector<std::string> options{"-P", port_,
                                         "-F", "none",
                                         "-o", "UserKnownHostsFile=" + directory_ + "/known_hosts",
                                         "-o", "BatchMode=yes",
                                         "-i", directory_ + "/id"};
  for (const bool old : {false, true}) {
    std::vector<std::string> words{"scp"};
    if (old) words.push_back("-O");
    words.insert(words.end(), options.begin(), options.end());
    std::vector<std::string> up = words, down = words;
    up.insert(up.end(), {directory_ + "/here", there + "/sent"});
    down.insert(down.end(), {there + "/here", directory_ + "/fetched"});
    EXPECT_NE(test::run(up).status, 0);
    EXPECT_FALSE(std::filesystem::exists(directory_ + "/sent"));
    const Ran fetched = test::run(down);
    EXPECT_EQ(fetched.status, 0) << fetched.out;
    EXPECT_EQ(read("fetched"), "secret");
    std::filesystem::remove(directory_ + "/fetched");
  }
}

TEST_F(EdgeTest, ANoticeIsShownAndAnEndEnds) {
  std::thread later([this] {
    for (int i = 0; i < 300; ++i) {
      ::usleep(50'000);
      const std::lock_guard lock(recorded_.mutex);
      if (!test::FakePassage::tells().empty() && !recorded_.facts.empty()) break;
    }
    ::usleep(500'000);
    test::FakePassage::tells().back()({false, "Warning", "this session ends in a minute."});
    test::FakePassage::tells().back()({true, "DeadlinePassed", "the time is over."});
  });
  test::FakePassage::tells().clear();
  const Ran ran = ssh({"-tt"}, {"sleep 60"});
  later.join();
  EXPECT_EQ(ran.status, 254) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("this session ends in a minute."));
  EXPECT_THAT(ran.out, HasSubstr("the time is over."));
  wait_until_ended();
  EXPECT_THAT(recorded_.all(), HasSubstr("ended DeadlinePassed"));
}

TEST_F(EdgeTest, NothingPassesBeforeAModeratorIsThere) {
  wishes_.allowed.held_because = "somebody has to join.";
  std::atomic<bool> early = false;
  std::thread later([this, &early] {
    for (int i = 0; i < 300 && test::FakePassage::tells().empty(); ++i) ::usleep(50'000);
    ::usleep(800'000);
    {
      const std::lock_guard lock(recorded_.mutex);
      early = !recorded_.facts.empty();
    }
    test::FakePassage::tells().back()(
        {.ends = false, .reason = "ModeratorJoined", .message = "bob has joined.", .hold = false});
  });
  test::FakePassage::tells().clear();
  const Ran ran = ssh({}, {"echo begun"});
  later.join();
  EXPECT_FALSE(early);  // the command had not begun
  EXPECT_EQ(ran.status, 0) << ran.out;
  const size_t waits = ran.out.find("somebody has to join."), joined = ran.out.find("bob has joined.");
  EXPECT_NE(waits, std::string::npos) << ran.out;
  EXPECT_LT(waits, joined);
  EXPECT_THAT(ran.out, HasSubstr("begun"));
}

TEST_F(EdgeTest, ASessionThatIsHeldAgainPassesNothing) {
  std::thread later([this] {
    for (int i = 0; i < 300; ++i) {
      ::usleep(50'000);
      const std::lock_guard lock(recorded_.mutex);
      if (!test::FakePassage::tells().empty() && !recorded_.facts.empty()) break;
    }
    ::usleep(300'000);
    test::FakePassage::tells().back()(
        {.ends = false, .reason = "ModeratorLeft", .message = "held.", .hold = true});
    ::usleep(2'500'000);
    test::FakePassage::tells().back()(
        {.ends = true, .reason = "ModeratorMissing", .message = "nobody came."});
  });
  test::FakePassage::tells().clear();
  const Ran ran = ssh({}, {"sleep 1.5; echo too late; sleep 60"});
  later.join();
  EXPECT_EQ(ran.status, 254) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("held."));
  EXPECT_EQ(ran.out.find("too late"), std::string::npos) << ran.out;
}

TEST_F(EdgeTest, WhatCannotBeRecordedEnds) {
  wishes_.recording_fails = true;
  const Ran ran = ssh({"-tt"}, {"echo x; sleep 30"});
  EXPECT_EQ(ran.status, 254) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("cannot be written: The disk is full."));
}

// libssh keeps a channel, and goes on calling what was set for it, until both ends have closed it.
TEST_F(EdgeTest, WhatComesOnAChannelThatIsClosedHarmsNothing) {
  const SessionHandle client(ssh_new());
  ssh_session session = client.get();
  const int no = 0;
  const unsigned port = static_cast<unsigned>(std::stoul(port_));
  ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
  ssh_options_set(session, SSH_OPTIONS_HOST, "127.0.0.1");
  ssh_options_set(session, SSH_OPTIONS_PORT, &port);
  ssh_options_set(session, SSH_OPTIONS_USER, (std::string(user_) + "+web-1").c_str());
  ASSERT_EQ(ssh_connect(session), SSH_OK) << ssh_get_error(session);
  ssh_key read_key = nullptr;
  ASSERT_EQ(ssh_pki_import_privkey_file((directory_ + "/id").c_str(), nullptr, nullptr, nullptr, &read_key),
            SSH_OK);
  const KeyHandle key(read_key);
  ASSERT_EQ(ssh_userauth_publickey(session, nullptr, key.get()), SSH_AUTH_SUCCESS);
  ssh_channel first = ssh_channel_new(session);
  ASSERT_EQ(ssh_channel_open_session(first), SSH_OK);
  ASSERT_EQ(ssh_channel_request_exec(first, "exit 3"), SSH_OK);
  ::usleep(1'500'000);  // by now the edge has closed it; nothing of that has been read here
  EXPECT_EQ(ssh_channel_write(first, "late", 4), 4);
  ssh_channel second = ssh_channel_new(session);
  ASSERT_EQ(ssh_channel_open_session(second), SSH_OK) << ssh_get_error(session);
  ASSERT_EQ(ssh_channel_request_exec(second, "echo still here"), SSH_OK);
  std::array<char, 64> said{};
  EXPECT_GT(ssh_channel_read_timeout(second, said.data(), said.size() - 1, 0, 10'000), 0);
  EXPECT_STREQ(said.data(), "still here\n");
  ssh_disconnect(session);
}

// Names and commands are any bytes, and a command is on the record to its end.
TEST_F(EdgeTest, EveryCommandIsToldWhole) {
  const Ran ran = ssh({}, {": '" + std::string(9000, 'x') + "\xe4'; echo ran"});
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("ran"));
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("command", "\"part\":\"3 of 3\"")) << recorded_.all();
  EXPECT_TRUE(recorded_.has("command", "x\xEF\xBF\xBD'; echo ran")) << recorded_.all();
}

TEST_F(EdgeTest, ALongRefusalIsToldAndHarmsNobodyElse) {
  for (int i = 0; i < 600'000; ++i) wishes_.refusal += "\xc3\xa9";
  const Ran refused = ssh({}, {"true"});
  EXPECT_EQ(refused.status, 255);
  EXPECT_THAT(refused.out, HasSubstr("\xc3\xa9\xc3\xa9"));
  wishes_.refusal.clear();
  EXPECT_EQ(ssh({}, {"true"}).status, 0) << "the edge is there";
}

TEST_F(EdgeTest, ForwardingFollowsPolicy) {
  const test::Greeter greeter("welcome\n");
  const std::string inside = "127.0.0.1:" + std::to_string(greeter.port());
  const Ran through = ssh({"-W", inside}, {});
  EXPECT_THAT(through.out, HasSubstr("welcome")) << recorded_.all();
  wishes_.allowed.forwarding = false;
  const Ran refused = ssh({"-W", inside}, {});
  EXPECT_EQ(refused.status, 255);
  EXPECT_THAT(refused.out, HasSubstr("forwarding failed"));
  const Ran remote = ssh({"-R", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"}, {"true"});
  EXPECT_EQ(remote.status, 255);
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("forward", "\"refused\":true")) << recorded_.all();
}

// At whatever port it is: it says what it is.
TEST_F(EdgeTest, SshInAForwardIsEndedWhereSessionsAreRecorded) {
  const Ran ended = ssh({"-W", "127.0.0.1:" + std::to_string(wishes_.sshd_port)}, {}, "web-1:22");
  EXPECT_EQ(ended.out.find("SSH-2.0"), std::string::npos) << ended.out;
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("forward", "\"because\":\"ssh\"")) << recorded_.all();
}

// A shell that somebody opens through a forward would be on no record.
TEST_F(EdgeTest, NoForwardLeadsToAnotherShellOffTheRecord) {
  const std::string port = std::to_string(wishes_.sshd_port);
  const Ran refused = ssh({"-W", "127.0.0.1:" + port}, {}, "web-1:" + port);
  EXPECT_EQ(refused.status, 255);
  EXPECT_THAT(refused.out, HasSubstr("forwarding failed"));
  wishes_.allowed.recorded = false;
  const Ran through = ssh({"-W", "127.0.0.1:" + port}, {}, "web-1:" + port);
  EXPECT_THAT(through.out, HasSubstr("SSH-2.0-OpenSSH"))
      << "where nothing is recorded there is no record to leave";
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("forward", "\"refused\":true")) << recorded_.all();
}

// Nobody can be accepted when no descriptor is left: they are sent away, and not kept waiting by a thread
// that is woken again and again.
TEST_F(EdgeTest, WhoComesWhenNoDescriptorIsLeftIsSentAway) {
  const auto port = static_cast<uint16_t>(std::stoi(port_));
  const Descriptor before = new_socket(), refused = new_socket(), after = new_socket();
  ASSERT_TRUE(connect_to(before, port));
  ASSERT_EQ(beginning(before), "SSH-");
  bool connected = false;
  std::string said;
  {
    const NoDescriptors none;
    connected = connect_to(refused, port);
    said = beginning(refused);
  }
  EXPECT_TRUE(connected);
  EXPECT_EQ(said, "gone");
  ASSERT_TRUE(connect_to(after, port));
  EXPECT_EQ(beginning(after), "SSH-") << "and afterwards it is there";
}

class CrowdedEdgeTest : public test::EdgeFixture {
 protected:
  CrowdedEdgeTest() {
    limits_.unknown_free = limits_.unknown_max = 6;
    limits_.unknown_per_source_max = 2;
  }
  // A silent connection from another address of this machine's own.
  Descriptor stranger(uint8_t number) {
    Descriptor socket = new_socket();
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f000100U + number);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from), 0);
    EXPECT_TRUE(connect_to(socket, static_cast<uint16_t>(std::stoi(port_))));
    return socket;
  }
};

TEST_F(CrowdedEdgeTest, StrangersTakeAPartOfTheRoomWhereverTheyComeFrom) {
  std::vector<Descriptor> crowd;
  for (uint8_t number = 1; number <= 3; ++number)
    for (int twice = 0; twice < 2; ++twice) {
      crowd.push_back(stranger(number));
      EXPECT_EQ(beginning(crowd.back()), "SSH-") << int{number};
    }
  EXPECT_EQ(beginning(stranger(1)), "gone") << "a third of one address";
  EXPECT_EQ(beginning(stranger(9)), "gone") << "and the seventh of all";
  EXPECT_TRUE(edge_->serve_ssh(std::make_shared<test::Ada>(),
                               {.machine = "web-1", .login = {}, .bastion = {}, .port = 22, .client = {}},
                               {*IpAddress::parse("127.0.1.1"), 1}))
      << "who has signed in elsewhere is none of them";
  crowd.clear();
  int status = 255;
  for (int i = 0; i < 100 && status != 0; ++i) status = ssh({}, {"true"}).status;
  EXPECT_EQ(status, 0) << "there is room again";
}

// Inside a tunnel that is somebody's alone they speak SSH, and are not asked who they are.
TEST_F(EdgeTest, SshInsideATunnelIsEndedWithoutASignIn) {
  const auto inside =
      edge_->serve_ssh(std::make_shared<test::Ada>(),
                       {.machine = "web-1", .login = {}, .bastion = {}, .port = 22, .client = {}},
                       {*IpAddress::parse("192.0.2.1"), 1});
  ASSERT_TRUE(inside) << inside.error().message;
  test::Bridge bridge(*inside);
  const std::string to = std::string(user_) + "@127.0.0.1";
  std::vector<std::string> words{"ssh", "-p", std::to_string(bridge.port()), "-o", "PubkeyAuthentication=no"};
  for (const std::string& word : ssh_options()) words.push_back(word);
  words.insert(words.end(), {to, "echo inside; exit 7"});
  const Ran ran = test::run(words);
  EXPECT_EQ(ran.status, 7) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("inside"));
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("command", "exit 7")) << recorded_.all();
}

}  // namespace
}  // namespace merlon::ssh
