// The root key kept elsewhere, moved and rotated: what opens afterwards, after a crash at each step, and for
// whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "crypto/system_random.h"
#include "seal/root_key.h"
#include "seal/root_record.h"
#include "seal/seal.h"

namespace merlon::seal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr std::string_view kPhrase = "correct horse battery staple";

class RootRotation : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "merlon-rotation-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    reopen_store();
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(directory_);
  }
  void reopen_store() {
    store_.reset();
    auto store = store::open_sqlite(directory_.string(), {.tables = tables(), .migrations = {}});
    ASSERT_TRUE(store) << store.error().message << store.error().cause;
    store_ = *std::move(store);
  }

  std::string file(const std::string& name = "root.key") const { return (directory_ / name).string(); }
  static RootPlace phrase(std::optional<std::string_view> typed = kPhrase) {
    RootPlace place = *RootPlace::parse("passphrase:", "/nowhere");
    if (typed) place.typed = Secret(*typed);
    return place;
  }
  Result<std::unique_ptr<Seal>> open(const RootPlace& place) {
    reopen_store();
    return Seal::open(*store_, place, random_);
  }
  std::unique_ptr<Seal> must_open(const RootPlace& place) {
    auto seal = open(place);
    EXPECT_TRUE(seal) << seal.error().message << seal.error().cause;
    return seal ? *std::move(seal) : nullptr;
  }
  Result<std::string> rotate(Seal& seal, const RootPlace& to) {
    const auto pending = TRY(seal.prepare_root(to));
    TRY(store_->write([&](store::Transaction& tx) -> Result<void> {
      EXPECT_EQ(TRY(seal.rewrap(tx, *pending)), 1);
      return {};
    }));
    return seal.finish_root(*pending, "20261126T010203Z");
  }
  static std::string read(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::string whole_state() const {
    std::string all;
    for (const auto& entry : fs::directory_iterator(directory_)) all += read(entry.path().string());
    return all;
  }

  fs::path directory_;
  crypto::SystemRandom random_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(RootRotation, AFileIsReplacedAndTheOldOneKept) {
  auto seal = must_open(file());
  const std::string sealed = seal->seal("c", Secret(std::string_view("seed")));
  const std::string before = read(file());
  const auto retired = rotate(*seal, file());
  ASSERT_TRUE(retired) << retired.error().message;
  EXPECT_EQ(*retired, file("root.key.until-20261126T010203Z"));
  EXPECT_EQ(read(*retired), before);
  EXPECT_NE(read(file()), before);
  EXPECT_FALSE(fs::exists(file("root.key.next")));
  EXPECT_EQ(seal->open("c", sealed)->expose_text(), "seed");
  // A second time, on a record that is there now.
  ASSERT_TRUE(seal->prepare_root(file()));
  seal = must_open(file());
  EXPECT_EQ(seal->open("c", sealed)->expose_text(), "seed");
  EXPECT_FALSE(open(*retired)) << "the old key opens what was rotated away from it";
}

TEST_F(RootRotation, ACrashBeforeTheCommitLeavesTheOldKeyInForce) {
  auto seal = must_open(file());
  const std::string sealed = seal->seal("c", Secret(std::string_view("seed")));
  ASSERT_TRUE(seal->prepare_root(file()));
  EXPECT_TRUE(fs::exists(file("root.key.next")));
  seal = must_open(file());
  EXPECT_EQ(seal->open("c", sealed)->expose_text(), "seed");
  ASSERT_TRUE(rotate(*seal, file())) << "the next attempt is not hindered by what the first one left";
  EXPECT_EQ(must_open(file())->open("c", sealed)->expose_text(), "seed");
}

TEST_F(RootRotation, ACrashAfterTheCommitIsFinishedByTheNextStart) {
  auto seal = must_open(file());
  const std::string sealed = seal->seal("c", Secret(std::string_view("seed")));
  const std::string before = read(file());
  const auto pending = seal->prepare_root(file());
  ASSERT_TRUE(pending);
  const std::string next = read(file("root.key.next"));
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(seal->rewrap(tx, **pending));
    return {};
  }));
  seal = must_open(file());
  EXPECT_EQ(seal->open("c", sealed)->expose_text(), "seed");
  EXPECT_EQ(read(file()), next);
  EXPECT_FALSE(fs::exists(file("root.key.next")));
  int kept = 0;
  for (const auto& entry : fs::directory_iterator(directory_))
    if (entry.path().string().starts_with(file("root.key.until-")))
      kept += read(entry.path().string()) == before;
  EXPECT_EQ(kept, 1) << "the old key is needed by backups";
}

TEST_F(RootRotation, AFailedCommitChangesNothing) {
  auto seal = must_open(file());
  const auto pending = seal->prepare_root(file());
  ASSERT_TRUE(pending);
  EXPECT_FALSE(store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(seal->rewrap(tx, **pending));
    return fail(ErrorKind::unavailable, "Test", "the disk is full");
  }));
  EXPECT_TRUE(open(file()));
}

TEST_F(RootRotation, APassphraseKeepsItFromTheFirstStart) {
  const auto needed = open(phrase(std::nullopt));
  ASSERT_FALSE(needed);
  EXPECT_EQ(needed.error().code, "RootPassphraseNeeded");
  EXPECT_FALSE(open(phrase("short"))) << "a passphrase that anybody guesses";
  const auto seal = must_open(phrase());
  const std::string sealed = seal->seal("c", Secret(std::string_view("seed")));
  EXPECT_EQ(must_open(phrase())->open("c", sealed)->expose_text(), "seed");
  const auto wrong = open(phrase("correct horse battery stapler"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, "RootPassphraseWrong");
  const auto elsewhere = open(file());
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().code, "RootKeyElsewhere");
  EXPECT_THAT(elsewhere.error().message, HasSubstr("--root-key passphrase:"));
  EXPECT_FALSE(fs::exists(file()));
  store_.reset();
  EXPECT_THAT(whole_state(), Not(HasSubstr(std::string(kPhrase))));
}

TEST_F(RootRotation, ItMovesFromAFileToAPassphraseAndBack) {
  auto seal = must_open(file());
  const std::string sealed = seal->seal("c", Secret(std::string_view("seed")));
  const auto retired = rotate(*seal, phrase());
  ASSERT_TRUE(retired) << retired.error().message;
  EXPECT_TRUE(fs::exists(*retired));
  EXPECT_FALSE(fs::exists(file()));
  EXPECT_EQ(open(file()).error().code, "RootKeyElsewhere");
  seal = must_open(phrase());
  EXPECT_EQ(seal->open("c", sealed)->expose_text(), "seed");
  std::ofstream(file()) << "somebody's own file";
  EXPECT_FALSE(seal->prepare_root(file())) << "it would have been replaced";
  EXPECT_EQ(read(file()), "somebody's own file");
  fs::remove(file());
  ASSERT_TRUE(rotate(*seal, file()));
  EXPECT_EQ(must_open(file())->open("c", sealed)->expose_text(), "seed");
}

TEST_F(RootRotation, ARecoveryKeyOpensWhatThePassphraseDoes) {
  auto seal = must_open(phrase());
  const std::string sealed = seal->seal("c", Secret(std::string_view("seed")));
  const auto key = store::write_value<Secret>(
      *store_, [&](store::Transaction& tx) { return seal->make_recovery_key(tx); });
  ASSERT_TRUE(key) << key.error().message;
  std::string typed(key->expose_text());
  EXPECT_EQ(typed.size(), 39U);
  for (char& c : typed) c = c == '-' ? ' ' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(must_open(phrase(typed))->open("c", sealed)->expose_text(), "seed");
  typed[0] = typed[0] == '0' ? '1' : '0';
  EXPECT_EQ(open(phrase(typed)).error().code, "RootPassphraseWrong");
  seal = must_open(phrase());
  ASSERT_TRUE(rotate(*seal, phrase()));
  EXPECT_FALSE(open(phrase(key->expose_text()))) << "a rotation voids it";
}

TEST_F(RootRotation, AFileHasNoRecoveryKey) {
  const auto seal = must_open(file());
  const auto refused = store::write_value<Secret>(
      *store_, [&](store::Transaction& tx) { return seal->make_recovery_key(tx); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "RootKeyIsAFile");
}

// Two servers on one database: the one that does not know of the rotation must not wrap under the old key.
TEST_F(RootRotation, AServerThatMissedARotationDoesNotRotate) {
  const auto one = must_open(file());
  auto other = Seal::open(*store_, file(), random_);
  ASSERT_TRUE(other);
  ASSERT_TRUE(rotate(*one, file()));
  const auto pending = (*other)->prepare_root(file());
  ASSERT_TRUE(pending);
  const auto refused = store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY((*other)->rewrap(tx, **pending));
    return {};
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "RootKeyRotated");
  EXPECT_TRUE(open(file()));
}

TEST_F(RootRotation, ADamagedRecordIsAnErrorAndNeverANewKey) {
  must_open(phrase());
  store::Row row;
  ASSERT_TRUE(store_->read([&](store::Reader& reader) -> Result<void> {
    row = *TRY(reader.get(root_table(), TenantId(), "root"));
    return {};
  }));
  for (const std::string& body :
       {std::string("{}"), row.body.substr(0, row.body.size() - 1),
        std::string(R"({"id":"x","kind":"passphrase","kept":{}})"),
        std::string(R"({"id":"6f9619ff-8b86-d011-b42d-00c04fc964ff","kind":"magic","kept":{}})"),
        std::string(R"({"id":"6f9619ff-8b86-d011-b42d-00c04fc964ff","kind":"passphrase"})")}) {
    ASSERT_TRUE(store_->write(
        [&](store::Transaction& tx) { return tx.put(root_table(), TenantId(), {"root", body, {}}); }));
    EXPECT_FALSE(open(phrase())) << body;
  }
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) { return tx.put(root_table(), TenantId(), row); }));
  EXPECT_TRUE(open(phrase()));
}

TEST(RootPlaceParse, NamesEachKindAndRefusesSecretsInArguments) {
  EXPECT_EQ(RootPlace::parse("", "/s")->detail, "/s/root.key");
  EXPECT_EQ(RootPlace::parse("/k", "/s")->detail, "/k");
  EXPECT_EQ(RootPlace::parse("pkcs11:token=a", "/s")->kind, RootKind::token);
  EXPECT_EQ(RootPlace::parse("tpm:pcrs=7", "/s")->kind, RootKind::tpm);
  EXPECT_FALSE(RootPlace::parse("tpm:pcrs=77", "/s"));
  EXPECT_EQ(RootPlace::parse("passphrase:", "/s")->kind, RootKind::passphrase);
  EXPECT_FALSE(RootPlace::parse("passphrase:hunter2hunter2", "/s"));
}

}  // namespace
}  // namespace merlon::seal
