// Signing in at machines by secrets, in a process apart: with OpenSSH's server, and with one that asks for
// more than it should.
#include <thread>

#include "ssh/edge_fixture.h"
#include "ssh/test_machine.h"

namespace merlon::ssh {
namespace {

using test::Ran;
using test::TestMachine;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ApartTest : public test::EdgeFixture {
 protected:
  // A key of `words` for ssh-keygen, that the sshd knows.
  Secret make_key(std::vector<std::string> words, const std::string& phrase = {}) {
    std::filesystem::remove(directory_ + "/vault");
    words.insert(words.begin(), {"ssh-keygen", "-q", "-N", phrase, "-f", directory_ + "/vault"});
    EXPECT_EQ(test::run(words).status, 0);
    write("authorized_keys", read("vault.pub"));
    return Secret(read("vault"));
  }
  Ran ssh_to(TestMachine& machine, const std::string& password) {
    wishes_.sshd_port = machine.port();
    wishes_.machine_host_key = machine.host_key();
    wishes_.secret = MachineSecret{.password = Secret(password), .private_key = {}, .passphrase = {}};
    return ssh({}, {"hello"});
  }
};

TEST_F(ApartTest, AKeySignsInAndTheSessionIsLikeAnyOther) {
  wishes_.secret =
      MachineSecret{.password = {}, .private_key = make_key({"-t", "ed25519"}), .passphrase = {}};
  const Ran ran = ssh({}, {"echo out; echo err >&2; exit 7"});
  EXPECT_EQ(ran.status, 7) << ran.out << read("sshd.log");
  EXPECT_THAT(ran.out, HasSubstr("out\n"));
  EXPECT_THAT(ran.out, HasSubstr("err\n"));
  const Ran terminal = ssh({"-tt"}, {"stty size; tty -s && echo terminal"});
  EXPECT_THAT(terminal.out, HasSubstr("terminal"));
  const Ran forward = ssh({"-W", "127.0.0.1:" + std::to_string(wishes_.sshd_port)}, {});
  EXPECT_THAT(forward.out, Not(HasSubstr("forwarding failed"))) << recorded_.all();
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("command", "exit 7")) << recorded_.all();
  EXPECT_EQ(wishes_.waiting_as_asked, 1) << "who waits for the machine to let them in counts";
  EXPECT_EQ(wishes_.waiting_as_signed_in, 0) << "and no longer";
  EXPECT_THAT(recorded_.all(), HasSubstr("out\n"));
}

TEST_F(ApartTest, LongStreamsGoThroughBothProcesses) {
  wishes_.secret =
      MachineSecret{.password = {}, .private_key = make_key({"-t", "ed25519"}), .passphrase = {}};
  write("here", std::string(5'000'000, 'x') + "end");
  const std::string there = std::string(user_) + "+web-1@127.0.0.1:" + directory_;
  std::vector<std::string> words{"scp", "-P", port_};
  for (const std::string& word : ssh_options()) words.push_back(word);
  std::vector<std::string> up = words, down = words;
  up.insert(up.end(), {directory_ + "/here", there + "/sent"});
  down.insert(down.end(), {there + "/sent", directory_ + "/fetched"});
  const Ran sent = test::run(up), fetched = test::run(down);
  EXPECT_EQ(sent.status, 0) << sent.out;
  EXPECT_EQ(fetched.status, 0) << fetched.out;
  EXPECT_EQ(read("fetched"), read("here"));
  wait_until_ended();
  EXPECT_TRUE(recorded_.has("transfer", "sent")) << recorded_.all();
}

TEST_F(ApartTest, AKeyInPemUnderAPassphraseIsRead) {
  const Secret key = make_key({"-t", "rsa", "-b", "3072", "-m", "PEM"}, "a passphrase");
  ASSERT_THAT(std::string(key.expose_text()), HasSubstr("ENCRYPTED"));
  wishes_.secret = MachineSecret{
      .password = {}, .private_key = key, .passphrase = Secret(std::string_view("a passphrase"))};
  EXPECT_EQ(ssh({}, {"exit 3"}).status, 3) << read("sshd.log");
  wishes_.secret->passphrase = Secret(std::string_view("another"));
  const Ran wrong = ssh({}, {"exit 3"});
  EXPECT_EQ(wrong.status, 255);
  EXPECT_THAT(wrong.out, HasSubstr("its passphrase is another one"));
  wishes_.secret->private_key = make_key({"-t", "ecdsa"}, "a passphrase");
  wishes_.secret->passphrase = Secret(std::string_view("a passphrase"));
  EXPECT_EQ(ssh({}, {"exit 3"}).status, 3) << read("sshd.log");
}

TEST_F(ApartTest, AKeyThatTheMachineDoesNotKnowIsRefusedInWords) {
  wishes_.secret =
      MachineSecret{.password = {}, .private_key = make_key({"-t", "ed25519"}), .passphrase = {}};
  write("authorized_keys", "");
  const Ran ran = ssh({}, {"id"});
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("in by the key that is set for it. Whoever looks after it"));
  wait_until_ended();
  EXPECT_THAT(recorded_.all(), HasSubstr("ended MachineRefusedSecret"));
}

TEST_F(ApartTest, AnUnknownMachineIsToldNothingAndNoSecretIsFetched) {
  TestMachine machine({});
  wishes_.sshd_port = machine.port();
  wishes_.machine_host_key =
      PublicKey::of(crypto::PrivateKey::generate(crypto::KeyKind::ed25519)->public_key()).line();
  wishes_.secret = MachineSecret{
      .password = Secret(std::string_view("correct horse")), .private_key = {}, .passphrase = {}};
  const Ran ran = ssh({}, {"hello"});
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("is none of those that are known of it"));
  EXPECT_EQ(wishes_.secrets_asked, 0);
  EXPECT_THAT(machine.told(), IsEmpty());
}

TEST_F(ApartTest, APasswordSignsIn) {
  TestMachine machine({});
  const Ran ran = ssh_to(machine, "correct horse");
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("hello"));
  EXPECT_THAT(machine.told(), ElementsAre("correct horse"));
}

TEST_F(ApartTest, AWrongPasswordIsSentOnceAndRefusedInWords) {
  TestMachine machine(
      {.methods = SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE, .rounds = {{{"Password: "}}}});
  const Ran ran = ssh_to(machine, "wrong staple");
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("in by the password that is set for it. Whoever looks after it"));
  EXPECT_THAT(ran.out, Not(HasSubstr("staple")));
  EXPECT_THAT(machine.told(), ElementsAre("wrong staple"));
}

TEST_F(ApartTest, OneHiddenQuestionIsAnswered) {
  TestMachine machine({.methods = SSH_AUTH_METHOD_INTERACTIVE, .rounds = {{{"Password: "}}, {}}});
  const Ran ran = ssh_to(machine, "correct horse");
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(machine.told(), ElementsAre("correct horse"));
}

TEST_F(ApartTest, WhatIsShownWhileItIsTypedIsNotAnswered) {
  TestMachine machine({.methods = SSH_AUTH_METHOD_INTERACTIVE, .rounds = {{{"Your name: ", true}}}});
  const Ran ran = ssh_to(machine, "correct horse");
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("alone: it asks for more than that"));
  EXPECT_THAT(machine.told(), IsEmpty());
}

TEST_F(ApartTest, TwoQuestionsAtOnceAreNotAnswered) {
  TestMachine machine(
      {.methods = SSH_AUTH_METHOD_INTERACTIVE, .rounds = {{{"Password: "}, {"Verification code: "}}}});
  EXPECT_EQ(ssh_to(machine, "correct horse").status, 255);
  EXPECT_THAT(machine.told(), IsEmpty());
}

TEST_F(ApartTest, ASecondQuestionIsNotAnswered) {
  TestMachine machine(
      {.methods = SSH_AUTH_METHOD_INTERACTIVE, .rounds = {{{"Password: "}}, {{"Verification code: "}}}});
  EXPECT_EQ(ssh_to(machine, "correct horse").status, 255);
  EXPECT_THAT(machine.told(), ElementsAre("correct horse"));
}

TEST_F(ApartTest, WhatAMachineSaysOnceItKnowsThePasswordIsNotPassedOn) {
  TestMachine machine({.hangs_up_with_password = true});
  const Ran ran = ssh_to(machine, "correct horse");
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(machine.told(), ElementsAre("correct horse"));
  EXPECT_THAT(ran.out, HasSubstr("has closed the connection"));
  EXPECT_THAT(ran.out, Not(HasSubstr("horse")));
  wait_until_ended();
  EXPECT_THAT(recorded_.all(), Not(HasSubstr("horse")));
}

TEST_F(ApartTest, AMachineThatTakesNoPasswordsIsToldNone) {
  TestMachine machine({.methods = SSH_AUTH_METHOD_PUBLICKEY});
  const Ran ran = ssh_to(machine, "correct horse");
  EXPECT_EQ(ran.status, 255);
  EXPECT_THAT(ran.out, HasSubstr("it takes no passwords"));
  EXPECT_THAT(machine.told(), IsEmpty());
}

// Ours, by proc(5): "pid (name) state parent".
size_t children() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string text;
    std::getline(file, text);  // nothing, of one that is gone by now
    const size_t name_end = text.rfind(") ");
    if (name_end != std::string::npos &&
        text.find(" " + std::to_string(::getpid()) + " ", name_end) == name_end + 3)
      ++count;
  }
  return count;
}

TEST_F(ApartTest, NoProcessIsLeftWhenTheSessionIsOver) {
  wishes_.secret =
      MachineSecret{.password = {}, .private_key = make_key({"-t", "ed25519"}), .passphrase = {}};
  const size_t before = children();  // the sshd, and what earlier tests have left
  std::thread look([before] {
    size_t most = 0;
    for (int i = 0; i < 400 && most < before + 3; ++i) {
      most = std::max(most, children());
      ::usleep(10'000);
    }
    EXPECT_EQ(most, before + 3) << "ssh, the process of the connection, and the one apart";
  });
  EXPECT_EQ(ssh({}, {"sleep 2"}).status, 0);
  look.join();
  for (int i = 0; i < 400 && children() > before; ++i) ::usleep(25'000);
  EXPECT_EQ(children(), before);
}

}  // namespace
}  // namespace merlon::ssh
