// What the agent reads of a real sshd, and what it does to its configuration: little, and never for long if
// it is wrong.
#include "agent/machine_ssh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "agent/local_program.h"

namespace merlon::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

constexpr const char* kMachine = "11111111-2222-4333-8444-555555555555";

class MachineSshTest : public testing::Test {
 protected:
  MachineSshTest() {
    std::string name = (fs::temp_directory_path() / "merlon-ssh-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    places_.config = directory_ / "sshd_config";
    places_.drop_ins = directory_ / "drop_ins";
    fs::create_directory(places_.drop_ins);
    fs::create_directory(directory_ / "state");
    new_key("key");
    configure("Include " + places_.drop_ins + "/*.conf\n");
    make_key("authority");
  }
  ~MachineSshTest() override { fs::remove_all(directory_); }

  void make_key(const std::string& name) {
    const std::string path = directory_ / name;
    const auto end = run_program({places_.keygen, "-q", "-t", "ed25519", "-N", "", "-f", path});
    ASSERT_TRUE(end && end->good());
  }
  void new_key(const std::string& name) {
    fs::remove(directory_ / name);
    fs::remove(directory_ / (name + ".pub"));
    make_key(name);
  }
  static std::string read(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string public_key(const std::string& name) { return ssh_key_of(read(directory_ / (name + ".pub"))); }
  void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  void configure(const std::string& first) {
    write(places_.config, first + "HostKey " + (directory_ / "key").string() + "\nPidFile " +
                              (directory_ / "pid").string() + "\n");
  }
  void drop_in(const std::string& name, const std::string& text) {
    write(fs::path(places_.drop_ins) / name, text);
  }
  std::vector<std::string> drop_ins() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(places_.drop_ins))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }
  std::unique_ptr<MachineSsh> ssh(const std::string& machine = kMachine) {
    return std::make_unique<MachineSsh>(places_, StateFiles::create((directory_ / "state").string()).value(),
                                        machine);
  }
  std::unique_ptr<MachineSsh> trusting() {
    auto made = ssh();
    EXPECT_TRUE(made->trust({public_key("authority")}));
    return made;
  }
  std::vector<std::string> look(const std::unique_ptr<MachineSsh>& ssh, bool allowed) {
    std::vector<std::string> kinds;
    for (const auto& [kind, facts] : ssh->look(Duration(1'000'000), allowed)) kinds.push_back(kind);
    return kinds;
  }
  std::string effective(const std::string& name) {
    const auto end = run_program({places_.sshd, "-T", "-f", places_.config});
    EXPECT_TRUE(end && end->good());
    const size_t at = end->out.find("\n" + name + " ");
    return end->out.substr(at + 1, end->out.find('\n', at + 1) - at - 1);
  }

  fs::path directory_;
  SshPlaces places_;
};

TEST_F(MachineSshTest, HostKeysAreThoseThatSshdShowsWhateverAFileBesideThemSays) {
  const std::string shown = public_key("key");
  write(directory_ / "key.pub", read(directory_ / "authority.pub"));
  const auto made = ssh();
  EXPECT_THAT(look(made, false), IsEmpty());
  EXPECT_THAT(made->facts().host_keys, ElementsAre(shown));
  EXPECT_EQ(made->facts().trust, machine::kTrustOff);
}

TEST_F(MachineSshTest, AChangedHostKeyIsSeen) {
  const auto made = ssh();
  look(made, false);
  const auto before = made->facts().host_keys;
  new_key("key");
  look(made, false);
  EXPECT_THAT(made->facts().host_keys, ElementsAre(public_key("key")));
  EXPECT_NE(made->facts().host_keys, before);
}

TEST_F(MachineSshTest, WhatIsKnownStaysWhileSshdDoesNotTakeItsConfiguration) {
  const auto made = trusting();
  look(made, false);
  const auto before = made->facts().host_keys;
  configure("NoSuchKeyword yes\n");
  look(made, true);
  EXPECT_EQ(made->facts().host_keys, before);
  EXPECT_EQ(made->facts().trust, machine::kTrustRefused);
  EXPECT_THAT(made->facts().message, HasSubstr("NoSuchKeyword"));
  EXPECT_THAT(drop_ins(), IsEmpty());
}

TEST_F(MachineSshTest, NothingIsWrittenUnlessTheMachinesOwnerLetsIt) {
  const auto made = trusting();
  EXPECT_THAT(look(made, false), IsEmpty());
  EXPECT_THAT(drop_ins(), IsEmpty());
}

TEST_F(MachineSshTest, SshdTrustsTheAuthorityForThisMachinesPrincipals) {
  const auto made = trusting();
  EXPECT_THAT(look(made, true), ElementsAre("ssh-trust-installed"));
  EXPECT_EQ(made->facts().trust, machine::kTrustInstalled);
  const std::string authority = places_.drop_ins + "/merlon_authority.pub";
  EXPECT_EQ(effective("trustedusercakeys"), "trustedusercakeys " + authority);
  EXPECT_EQ(read(authority), public_key("authority") + "\n");
  EXPECT_EQ(effective("authorizedprincipalscommand"),
            std::string("authorizedprincipalscommand /usr/bin/echo %u@") + kMachine);
  EXPECT_THAT(look(made, true), IsEmpty()) << "again, and nothing is to be done";
  const auto later = ssh();
  EXPECT_THAT(look(later, true), IsEmpty()) << "an agent that is started anew knows what to trust";
  EXPECT_EQ(later->facts().trust, machine::kTrustInstalled);
}

TEST_F(MachineSshTest, WhatIsEditedOrRemovedComesBack) {
  const auto made = trusting();
  look(made, true);
  const std::string conf = read(fs::path(places_.drop_ins) / "merlon.conf");
  drop_in("merlon_authority.pub", read(directory_ / "key.pub"));
  EXPECT_THAT(look(made, true), ElementsAre("ssh-trust-installed"));
  EXPECT_EQ(read(fs::path(places_.drop_ins) / "merlon_authority.pub"), public_key("authority") + "\n");
  fs::remove(fs::path(places_.drop_ins) / "merlon.conf");
  EXPECT_THAT(look(made, true), ElementsAre("ssh-trust-installed"));
  EXPECT_EQ(read(fs::path(places_.drop_ins) / "merlon.conf"), conf);
}

TEST_F(MachineSshTest, TurnedOffAndTakenDownSshdIsAsItWas) {
  const std::string before = effective("trustedusercakeys");
  const auto made = trusting();
  look(made, true);
  EXPECT_THAT(look(made, false), ElementsAre("ssh-trust-removed"));
  EXPECT_THAT(drop_ins(), IsEmpty());
  look(made, true);
  EXPECT_THAT(drop_ins(), ElementsAre("merlon.conf", "merlon_authority.pub"));
  ASSERT_TRUE(made->take_down());
  EXPECT_THAT(drop_ins(), IsEmpty());
  EXPECT_EQ(effective("trustedusercakeys"), before);
}

TEST_F(MachineSshTest, AnotherAuthorityIsLeftAloneWhereverItStands) {
  const std::string other = (directory_ / "authority.pub").string();
  drop_in("10-own.conf", "# TrustedUserCAKeys in a comment is none\nX11Forwarding no\n");
  const auto made = trusting();
  look(made, true);
  EXPECT_EQ(made->facts().trust, machine::kTrustInstalled) << made->facts().message;
  drop_in("70-own.conf", "TrustedUserCAKeys=" + other + "\n");
  EXPECT_THAT(look(made, true), ElementsAre("ssh-trust-refused"));
  EXPECT_THAT(made->facts().message, HasSubstr("70-own.conf"));
  EXPECT_THAT(drop_ins(), ElementsAre("10-own.conf", "70-own.conf")) << "ours made way";
  EXPECT_EQ(effective("trustedusercakeys"), "trustedusercakeys " + other);
  drop_in("70-own.conf", "Match User root\n  TrustedUserCAKeys " + other + "\n");
  look(made, true);
  EXPECT_EQ(made->facts().trust, machine::kTrustRefused) << "also for some users alone";
  drop_in("70-own.conf", "trustedusercakeys none\n");
  look(made, true);
  EXPECT_EQ(made->facts().trust, machine::kTrustRefused) << "who says none means it";
  fs::remove(fs::path(places_.drop_ins) / "70-own.conf");
  write(directory_ / "elsewhere.conf", "TrustedUserCAKeys " + other + "\n");
  drop_in("70-own.conf", "Include " + (directory_ / "elsewhere.conf").string() + "\n");
  look(made, true);
  EXPECT_EQ(made->facts().trust, machine::kTrustRefused) << "also from a file that is included";
  EXPECT_EQ(effective("trustedusercakeys"), "trustedusercakeys " + other);
}

TEST_F(MachineSshTest, WithoutEffectItIsTakenBack) {
  configure("");
  const auto made = trusting();
  EXPECT_THAT(look(made, true), ElementsAre("ssh-trust-refused"));
  EXPECT_THAT(made->facts().message, HasSubstr("Include " + places_.drop_ins + "/*.conf"));
  EXPECT_THAT(drop_ins(), IsEmpty());
  configure("Include " + places_.drop_ins + "/*.conf\n");
  EXPECT_THAT(look(made, true), ElementsAre("ssh-trust-installed")) << "as soon as it has one";
}

// An sshd that reads every file of the directory would read the authority's key as configuration.
TEST_F(MachineSshTest, WhatWouldBreakSshdIsTakenBack) {
  configure("Include " + places_.drop_ins + "/*\n");
  const auto made = trusting();
  EXPECT_THAT(look(made, true), ElementsAre("ssh-trust-refused"));
  EXPECT_THAT(drop_ins(), IsEmpty());
  EXPECT_EQ(effective("trustedusercakeys"), "trustedusercakeys none");
}

TEST_F(MachineSshTest, AnotherAgentsFileIsNotTouched) {
  const auto first = trusting();
  look(first, true);
  const std::string conf = read(fs::path(places_.drop_ins) / "merlon.conf");
  const auto second = ssh("99999999-2222-4333-8444-555555555555");
  ASSERT_TRUE(second->trust({public_key("authority")}));
  EXPECT_THAT(look(second, true), ElementsAre("ssh-trust-refused"));
  EXPECT_EQ(read(fs::path(places_.drop_ins) / "merlon.conf"), conf);
  EXPECT_THAT(look(second, false), IsEmpty());
  EXPECT_THAT(second->facts().message, HasSubstr("merlon agent ssh off"))
      << "what is off is in force by another's";
  EXPECT_EQ(read(fs::path(places_.drop_ins) / "merlon.conf"), conf);
}

// After a new enrolment, or at another server, the trust in the old one's authority would stay for ever.
TEST_F(MachineSshTest, RootTurnsOffWhatAnEarlierEnrolmentLeft) {
  look(trusting(), true);
  const SshServer server(places_);
  const SshTrustFile file(server, (directory_ / "state").string(), "99999999-2222-4333-8444-555555555555");
  ASSERT_TRUE(file.remove_any());
  EXPECT_THAT(drop_ins(), IsEmpty());
  EXPECT_EQ(effective("trustedusercakeys"), "trustedusercakeys none");
  // What nobody can tell to be an agent's is named, and off is not claimed.
  look(trusting(), true);
  const std::string conf = read(fs::path(places_.drop_ins) / "merlon.conf");
  drop_in("merlon.conf", "# edited\n" + conf);
  const auto refused = file.remove_any();
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("merlon.conf is there still"));
  fs::rename(fs::path(places_.drop_ins) / "merlon.conf", fs::path(places_.drop_ins) / "zz.conf");
  const auto in_force = file.remove_any();
  ASSERT_FALSE(in_force.has_value());
  EXPECT_THAT(in_force.error().message, HasSubstr("merlon_authority.pub still"));
}

TEST_F(MachineSshTest, WithoutSshdThereIsNothingToTell) {
  places_.sshd = directory_ / "no-sshd";
  const auto made = trusting();
  EXPECT_THAT(look(made, true), IsEmpty());
  EXPECT_EQ(made->facts().trust, machine::kTrustNoServer);
  EXPECT_THAT(made->facts().host_keys, IsEmpty());
}

TEST(LocalProgram, IsBoundedAndSaysWhyItFailed) {
  const auto good = run_program({"/usr/bin/printf", "%s", "a b"});
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->good());
  EXPECT_EQ(good->out, "a b");
  const auto bad = run_program({"/usr/bin/ls", "/no-such-file"});
  ASSERT_TRUE(bad);
  EXPECT_FALSE(bad->good());
  EXPECT_THAT(bad->err, HasSubstr("no-such-file"));
  EXPECT_EQ(run_program({"/no-such-program"}).error().code, "ProgramNotStarted");
  EXPECT_EQ(run_program({"/usr/bin/sleep", "30"}, Duration(200)).error().code, "ProgramTooSlow");
}

}  // namespace
}  // namespace merlon::agent
