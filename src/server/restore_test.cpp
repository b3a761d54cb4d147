// A backup taken from a server that runs, and what becomes of everything that was alive in it.
#include "server/restore.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "server/assembly_fixture.h"

namespace merlon::server {
namespace {

using testing::HasSubstr;
using testing::Not;

StateLocation place(const std::string& directory) {
  StateLocation location;
  location.state_dir = directory;
  return location;
}

class RestoreTest : public AssemblyTest {
 protected:
  void SetUp() override {
    AssemblyTest::SetUp();
    elsewhere_ = directory_ + "/elsewhere";
    std::filesystem::create_directory(elsewhere_);
    std::filesystem::permissions(elsewhere_, std::filesystem::perms::owner_all);
  }
  std::string back_up_now() {
    const auto report = back_up(place(directory_), directory_, clock_, random_);
    EXPECT_TRUE(report) << report.error().message << report.error().cause;
    return report ? report->file : "";
  }
  void bring_root_key() {
    std::filesystem::copy_file(directory_ + "/root.key", elsewhere_ + "/root.key",
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(elsewhere_ + "/root.key",
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  Result<RestoreReport> restore_elsewhere(const std::string& file) {
    return restore(place(elsewhere_), file, clock_, random_);
  }
  void write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::string new_enrolment_token() {
    const JsonObject token =
        call("POST", subscription_ + std::string(kGroup) + "/providers/Merlon.Machines/enrolmentTokens",
             {{"name", "web-2"}, {"enforce", false}}, 201);
    return string_at(token, "token").value_or("");
  }
  int enrol_status(const std::string& token) {
    machine::EnrolRequest request;
    request.token = token;
    request.certificate_request_pem =
        *crypto::make_request(*crypto::PrivateKey::generate(crypto::KeyKind::ec_p256), "web-2");
    request.facts.hostname = "web-2";
    request.facts.boot_id = "boot-9";
    return static_cast<int>(send("POST", "/agent/v1/enrol", to_text(request.to_json())).status);
  }
  Result<ledger::VerifyReport> verify(const ledger::SignedHead& witness) {
    std::istringstream file(ledger_lines());
    return ledger::verify_export(file, {.public_key_pem = {}, .witnesses = {witness}});
  }

  std::string elsewhere_;
};

TEST_F(RestoreTest, ABackupIsEnteredByTheServerAndOnce) {
  const std::string file = back_up_now();
  EXPECT_THAT(ledger_lines(), Not(HasSubstr("Merlon.State/backup/action")));
  const auto entries = [&] {
    size_t count = 0;
    std::istringstream lines(ledger_lines());
    for (std::string line; std::getline(lines, line);)
      if (line.find("Merlon.State/backup/action") != std::string::npos) ++count;
    return count;
  };
  clock_.advance(std::chrono::seconds(10));
  assembly_->tick();
  EXPECT_EQ(entries(), 1U);
  EXPECT_THAT(ledger_lines(), HasSubstr(file));
  clock_.advance(std::chrono::seconds(10));
  assembly_->tick();
  EXPECT_EQ(entries(), 1U);
  // One whose note nobody can read is no reason to stop, nor is it taken for one.
  write(directory_ + "/backup-made-x.json", "{\"backup\":7}");
  clock_.advance(std::chrono::seconds(10));
  assembly_->tick();
  EXPECT_EQ(entries(), 1U);
}

TEST_F(RestoreTest, ABackupThatIsNotMadeIsNotEntered) {
  std::filesystem::create_directory(directory_ + "/out");
  StateLocation location = place(directory_);
  const auto files_in_out = [&] {
    return std::distance(std::filesystem::directory_iterator(directory_ + "/out"), {});
  };
  ASSERT_TRUE(back_up(location, directory_ + "/out", clock_, random_));
  EXPECT_EQ(files_in_out(), 1);
  const auto twice =
      back_up(location, directory_ + "/out", clock_, random_);  // the same second, the same name
  EXPECT_FALSE(twice);
  size_t notes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_))
    notes += entry.path().filename().string().starts_with("backup-made-") ? 1 : 0;
  EXPECT_EQ(notes, 1U) << "what was not made leaves no note";
}

TEST_F(RestoreTest, EndsWhatWasAliveAndSaysSo) {
  enrol();
  set_policy();
  initiate({{"duration", "PT2H"}}, 202);
  const std::string enrolment = new_enrolment_token();
  ASSERT_EQ(rules().size(), 3U);
  const auto before = sync().state->version;
  const ledger::SignedHead kept = ledger_head();
  const std::string file = back_up_now();
  call("PUT", subscription_ + "/resourceGroups/after-the-backup", {{"location", "local"}}, 201);
  const ledger::SignedHead later = ledger_head();
  const std::string old_token = token_;
  ASSERT_EQ(send("GET", "/subscriptions?api-version=2022-12-01", {}, old_token).status, 200);

  bring_root_key();
  clock_.advance(std::chrono::minutes(5));
  const auto report = restore_elsewhere(file);
  ASSERT_TRUE(report) << report.error().message << report.error().cause;
  EXPECT_EQ(report->machines, 1U);
  EXPECT_EQ(report->grants_ended, 1U);
  start_in(elsewhere_);
  EXPECT_EQ(send("GET", "/subscriptions?api-version=2022-12-01", {}, old_token).status, 401);
  token_ = sign_in(*string_at(bootstrap_, "clientId"), *string_at(bootstrap_, "clientSecret"));
  const auto after = sync();
  ASSERT_TRUE(after.state.has_value());
  EXPECT_GT(after.state->version.epoch, before.epoch);
  EXPECT_TRUE(after.state->openings.empty());
  EXPECT_EQ(rules().size(), 2U) << "the opening is not in the security group either";
  EXPECT_EQ(enrol_status(enrolment), 401);
  EXPECT_EQ(send("GET", subscription_ + "/resourceGroups/after-the-backup?api-version=2022-12-01", {}, token_)
                .status,
            404);
  EXPECT_THAT(ledger_lines(), HasSubstr("Merlon.State/restore/action"));
  const auto proved = verify(kept);
  EXPECT_TRUE(proved) << proved.error().message;
  EXPECT_FALSE(verify(later)) << "a head from after the backup shows that the ledger was cut back";
}

TEST_F(RestoreTest, ASecondRestoreOfTheSameBackupStartsALaterEpoch) {
  enrol();
  const std::string file = back_up_now();
  bring_root_key();
  ASSERT_TRUE(restore_elsewhere(file));
  start_in(elsewhere_);
  const auto first = sync().state->version;
  assembly_.reset();
  std::filesystem::remove_all(elsewhere_);
  std::filesystem::create_directory(elsewhere_);
  bring_root_key();
  clock_.advance(std::chrono::minutes(5));
  ASSERT_TRUE(restore_elsewhere(file));
  start_in(elsewhere_);
  EXPECT_GT(sync().state->version.epoch, first.epoch);
}

// What the second restore cannot know, the machine tells: no agent takes an older version than it has.
TEST_F(RestoreTest, ASecondRestoreUnderAClockThatWasSetBackGoesBeyondWhatTheMachineHas) {
  enrol();
  const std::string file = back_up_now();
  bring_root_key();
  clock_.step_wall(std::chrono::hours(48));
  ASSERT_TRUE(restore_elsewhere(file));
  start_in(elsewhere_);
  const auto first = sync().state->version;
  assembly_.reset();
  std::filesystem::remove_all(elsewhere_);
  std::filesystem::create_directory(elsewhere_);
  bring_root_key();
  clock_.step_wall(-std::chrono::hours(48));
  ASSERT_TRUE(restore_elsewhere(file));
  start_in(elsewhere_);
  const auto poll = [&](const machine::Version& have, const machine::Version& applied) {
    machine::SyncRequest request;
    request.nonce = "n";
    request.boot_id = "boot-1";
    request.have = have;
    request.applied.version = applied;
    const auto answer =
        send("POST", "/agent/v1/sync", to_text(request.to_json()), {}, net::Plane::agents, certificate_);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return machine::SyncAnswer::from_json(*parse_json_object(answer.body))->state.value();
  };
  ASSERT_LT(sync().state->version, first) << "the server cannot know";
  const auto second = poll(first, first).version;
  EXPECT_GT(second.epoch, first.epoch);
  EXPECT_THAT(ledger_lines(), HasSubstr("Merlon.Machines/machines/startEpoch/action"));
  EXPECT_EQ(poll(first, first).version, second) << "once is enough";
  // An agent that has started anew remembers nothing, and its kernel does.
  const machine::Version later{second.epoch, second.number + 7};
  EXPECT_GT(poll({}, later).version.epoch, second.epoch);
  // What no server has ever said moves nothing.
  const auto before = poll({}, {}).version;
  EXPECT_EQ(poll({INT64_MAX, 1}, {}).version, before);
}

TEST_F(RestoreTest, ABackupIsPrivateWholeAndWithoutTheRootKey) {
  const std::string file = back_up_now();
  struct stat status{};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const std::string text = read(file);
  const std::string root = read(directory_ + "/root.key");
  ASSERT_EQ(root.size(), 32U);
  EXPECT_THAT(text, Not(HasSubstr(root)));
  EXPECT_THAT(text, Not(HasSubstr(to_hex(as_bytes(root)))));
  EXPECT_THAT(text, Not(HasSubstr(*string_at(bootstrap_, "clientSecret"))));
  EXPECT_FALSE(std::filesystem::exists(file + ".new"));
  EXPECT_EQ(back_up(place(directory_), file, clock_, random_).error().code, "BackupExists");
  EXPECT_EQ(read(file), text);
  EXPECT_EQ(back_up(place(elsewhere_), directory_ + "/x", clock_, random_).error().code, "StateNotFound");
  EXPECT_FALSE(std::filesystem::exists(elsewhere_ + "/root.key"))
      << "nothing is made for a state that is not there";
}

TEST_F(RestoreTest, WhatIsCutOrChangedIsRefusedBeforeAnythingIsWritten) {
  const std::string file = back_up_now();
  bring_root_key();
  const std::string text = read(file);
  const std::string bad = directory_ + "/bad";
  for (const size_t size :
       {size_t{0}, size_t{10}, text.size() / 2, text.size() - 1, text.rfind('\n', text.size() - 2) + 1}) {
    write(bad, text.substr(0, size));
    EXPECT_EQ(restore_elsewhere(bad).error().code, "InvalidBackup") << size;
  }
  std::string changed = text;
  const size_t at = changed.find("\"b\":\"", changed.size() / 2) + 8;
  changed[at] = changed[at] == 'A' ? 'B' : 'A';
  write(bad, changed);
  EXPECT_EQ(restore_elsewhere(bad).error().code, "InvalidBackup");
  write(bad, text + "{}\n");
  EXPECT_EQ(restore_elsewhere(bad).error().code, "InvalidBackup");
  EXPECT_EQ(restore_elsewhere(directory_).error().code, "BackupNotFound");
  EXPECT_FALSE(std::filesystem::exists(elsewhere_ + "/merlon.db"));
}

// Somebody who can write the file, but has no root key, makes the digest fit.
TEST_F(RestoreTest, AForgedBackupDoesNotComeIntoForce) {
  const std::string file = back_up_now();
  bring_root_key();
  std::istringstream lines(read(file));
  std::string forged;
  std::string line;
  BackupDigest digest;
  std::string seal;
  int64_t rows = -1;
  while (std::getline(lines, line)) {
    JsonObject json = *parse_json_object(line);
    if (json.contains("end")) {
      seal = *string_at(json, "seal");
      break;
    }
    if (string_at(json, "t") == "access_assignments") json["b"] = to_base64(as_bytes("{}"));
    if (++rows == 3) json["b"] = to_base64(as_bytes("{}"));
    digest.add(to_text(json));
    forged += to_text(json) + "\n";
  }
  forged += to_text(BackupEnd{.rows = rows, .digest = digest.hex(), .seal = seal}.to_json()) + "\n";
  write(directory_ + "/forged", forged);
  const auto refused = restore_elsewhere(directory_ + "/forged");
  ASSERT_FALSE(refused);
  const auto started = Assembly::make(
      {.state_dir = elsewhere_, .domain = {}, .root_key = elsewhere_ + "/root.key", .own_audiences = {}},
      clock_, random_);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, "RestoreUnfinished");
}

TEST_F(RestoreTest, WithoutItsRootKeyAndOverAnotherStateNothingHappens) {
  const std::string file = back_up_now();
  EXPECT_EQ(restore_elsewhere(file).error().code, "RootKeyMissing");
  EXPECT_FALSE(std::filesystem::exists(elsewhere_ + "/merlon.db"));
  const auto in_use = restore(place(directory_), file, clock_, random_);
  EXPECT_EQ(in_use.error().code, "StateDirectoryInUse");
  assembly_.reset();
  EXPECT_EQ(restore(place(directory_), file, clock_, random_).error().code, "RestoreTargetNotEmpty");
  start();
  EXPECT_EQ(send("GET", "/subscriptions?api-version=2022-12-01", {}, token_).status, 200)
      << "it is as it was";
  // Another root key opens nothing.
  write(elsewhere_ + "/root.key", std::string(32, 'k'));
  std::filesystem::permissions(elsewhere_ + "/root.key",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(restore_elsewhere(file).error().code, "RootKeyWrong");
}

}  // namespace
}  // namespace merlon::server
