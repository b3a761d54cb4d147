// Sealing over a real store and a real key file: what a thief of the database, of a row, or of a careless
// backup gets.
#include "seal/seal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "crypto/system_random.h"
#include "seal/root_key.h"

namespace merlon::seal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class SealTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "merlon-seal-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    fs::create_directory(directory_ / "state");
    fs::permissions(directory_ / "state", fs::perms::owner_all);
    key_path_ = (directory_ / "root.key").string();
    reopen_store();
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(directory_);
  }

  void reopen_store() {
    store_.reset();
    auto store = store::open_sqlite((directory_ / "state").string(), {.tables = tables(), .migrations = {}});
    ASSERT_TRUE(store) << store.error().message << store.error().cause;
    store_ = *std::move(store);
  }
  Result<std::unique_ptr<Seal>> open() { return Seal::open(*store_, key_path_, random_); }
  std::unique_ptr<Seal> must_open() {
    auto seal = open();
    EXPECT_TRUE(seal) << seal.error().message << seal.error().cause;
    return seal ? *std::move(seal) : nullptr;
  }
  std::string key_bytes() const {
    std::ifstream file(key_path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write_key(const std::string& bytes, mode_t mode = 0600) const {
    fs::remove(key_path_);
    std::ofstream(key_path_, std::ios::binary) << bytes;
    ASSERT_EQ(::chmod(key_path_.c_str(), mode), 0);
  }
  std::vector<store::Row> key_rows() {
    auto rows = store::read_value<std::vector<store::Row>>(*store_, [](store::Reader& reader) {
      return reader.scan(tables().front(), TenantId(), {.prefix = {}, .after = {}, .after_key = {}});
    });
    EXPECT_TRUE(rows);
    return rows.value_or(std::vector<store::Row>());
  }

  fs::path directory_;
  std::string key_path_;
  crypto::SystemRandom random_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(SealTest, FirstStartMakesOneKeyThatOnlyTheOwnerReads) {
  ::umask(0);
  const auto seal = must_open();
  ::umask(022);
  ASSERT_NE(seal, nullptr);
  struct stat info{};
  ASSERT_EQ(::stat(key_path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  EXPECT_EQ(info.st_size, 32);
  EXPECT_EQ(key_rows().size(), 1U);
}

TEST_F(SealTest, SealedTextOpensAfterARestart) {
  std::string sealed;
  {
    const auto seal = must_open();
    sealed = seal->seal("signing_keys/1/private/1", Secret("top secret"));
    EXPECT_THAT(sealed, StartsWith("v1."));
    EXPECT_THAT(sealed, Not(HasSubstr("secret")));
  }
  const std::string before = key_bytes();
  reopen_store();
  const auto seal = must_open();
  const auto opened = seal->open("signing_keys/1/private/1", sealed);
  ASSERT_TRUE(opened) << opened.error().cause;
  EXPECT_EQ(opened->expose_text(), "top secret");
  EXPECT_EQ(key_bytes(), before);
  EXPECT_EQ(key_rows().size(), 1U);
}

TEST_F(SealTest, EmptyAndLargeSecretsComeBack) {
  const auto seal = must_open();
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65'537}}) {
    const Secret secret(random_.bytes(size));
    const auto opened = seal->open("c", seal->seal("c", secret));
    ASSERT_TRUE(opened);
    EXPECT_TRUE(*opened == secret);
  }
}

TEST_F(SealTest, TheSameSecretNeverSealsToTheSameText) {
  const auto seal = must_open();
  std::set<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.insert(seal->seal("c", Secret("x")));
  EXPECT_EQ(texts.size(), 100U);
}

TEST_F(SealTest, TextMovedToAnotherRowDoesNotOpen) {
  const auto seal = must_open();
  const std::string sealed = seal->seal("users/1/totp/1", Secret("seed"));
  for (const char* context :
       {"users/2/totp/1", "users/1/totp/2", "users/1/totp/11", "", "users/1/totp/1\n"}) {
    const auto opened = seal->open(context, sealed);
    ASSERT_FALSE(opened) << context;
    EXPECT_EQ(opened.error().code, "SealBroken");
    EXPECT_THAT(opened.error().message + opened.error().cause, Not(HasSubstr("seed")));
  }
}

TEST_F(SealTest, EveryChangedCharacterIsRefused) {
  const auto seal = must_open();
  const std::string sealed = seal->seal("c", Secret("seed"));
  for (size_t i = 0; i < sealed.size(); ++i) {
    for (const char c : {'A', 'b', '0', '-', '.', '=', ' ', '\0'}) {
      std::string bent = sealed;
      if (bent[i] == c) continue;
      bent[i] = c;
      EXPECT_FALSE(seal->open("c", bent)) << i << " " << bent;
    }
    EXPECT_FALSE(seal->open("c", sealed.substr(0, i))) << i;
  }
  EXPECT_FALSE(seal->open("c", sealed + "A"));
  EXPECT_FALSE(seal->open("c", sealed + ".x"));
  EXPECT_TRUE(seal->open("c", sealed));
}

TEST_F(SealTest, TextOfAnotherInstallationDoesNotOpen) {
  const std::string sealed = must_open()->seal("c", Secret("seed"));
  fs::remove(key_path_);
  store_.reset();
  fs::remove_all(directory_ / "state");
  fs::create_directory(directory_ / "state");
  fs::permissions(directory_ / "state", fs::perms::owner_all);
  reopen_store();
  const auto other = must_open();
  EXPECT_FALSE(other->open("c", sealed));
  // Relabelled with a key id that exists here.
  const std::string own = other->seal("c", Secret("y"));
  const std::string relabelled = own.substr(0, own.rfind('.')) + sealed.substr(sealed.rfind('.'));
  EXPECT_FALSE(other->open("c", relabelled));
}

TEST_F(SealTest, AMissingRootKeyIsNeverMadeAnew) {
  must_open();
  const std::string original = key_bytes();
  fs::remove(key_path_);
  reopen_store();
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "RootKeyMissing");
  EXPECT_THAT(refused.error().message, HasSubstr("--root-key"));
  EXPECT_FALSE(fs::exists(key_path_));
  write_key(original);
  EXPECT_TRUE(open());
}

TEST_F(SealTest, AWrongRootKeyIsRefused) {
  must_open();
  const std::string original = key_bytes();
  std::string wrong = original;
  wrong[31] = static_cast<char>(wrong[31] ^ 1);
  write_key(wrong);
  reopen_store();
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "RootKeyWrong");
  EXPECT_EQ(key_bytes(), wrong);
}

TEST_F(SealTest, ARootKeyThatOthersCanReachIsRefused) {
  must_open();
  reopen_store();
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0660, 0666, 0777}) {
    ASSERT_EQ(::chmod(key_path_.c_str(), mode), 0);
    const auto refused = open();
    ASSERT_FALSE(refused) << std::oct << mode;
    EXPECT_EQ(refused.error().code, "RootKeyRefused");
    EXPECT_THAT(refused.error().message, HasSubstr("chmod 600"));
  }
  for (const mode_t mode : {0600, 0400}) {
    ASSERT_EQ(::chmod(key_path_.c_str(), mode), 0);
    EXPECT_TRUE(open()) << std::oct << mode;
  }
}

TEST_F(SealTest, AFileThatIsNoKeyIsRefused) {
  for (const std::string& bytes :
       {std::string(), std::string(31, 'k'), std::string(33, 'k'), std::string(4096, 'k')}) {
    write_key(bytes);
    const auto refused = open();
    ASSERT_FALSE(refused) << bytes.size();
    EXPECT_THAT(refused.error().message, HasSubstr("32 bytes"));
    EXPECT_EQ(key_bytes(), bytes) << "the file was touched";
  }
  fs::remove(key_path_);
  fs::create_directory(key_path_);
  fs::permissions(key_path_, fs::perms::owner_all);
  EXPECT_FALSE(open());
  fs::remove(key_path_);
  ASSERT_EQ(::mkfifo(key_path_.c_str(), 0600), 0);
  const auto refused = open();  // must not wait for a writer
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("regular file"));
  EXPECT_EQ(key_rows().size(), 0U);
}

TEST_F(SealTest, AKeyFileThatIsThereIsUsedOnTheFirstStart) {
  write_key(std::string(32, 'k'));
  ASSERT_NE(must_open(), nullptr);
  EXPECT_EQ(key_bytes(), std::string(32, 'k'));
}

TEST_F(SealTest, CreateNeverReplacesAFile) {
  write_key("mine");
  EXPECT_FALSE(create_root_key(key_path_, random_));
  EXPECT_EQ(key_bytes(), "mine");
  fs::remove(key_path_);
  fs::create_symlink(directory_ / "elsewhere", key_path_);
  EXPECT_FALSE(create_root_key(key_path_, random_));
  EXPECT_FALSE(fs::exists(directory_ / "elsewhere"));
}

TEST_F(SealTest, ADirectoryThatIsNotThereIsAnError) {
  key_path_ = (directory_ / "none" / "root.key").string();
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("none/root.key"));
  EXPECT_EQ(key_rows().size(), 0U);
}

TEST_F(SealTest, AWrappedKeyInAnotherRowIsRefused) {
  must_open();
  store::Row row = key_rows().front();
  const std::string other = Uuid::generate(random_).text();
  row.body.replace(row.body.find(row.key), row.key.size(), other);
  row.key = other;
  ASSERT_TRUE(
      store_->write([&](store::Transaction& tx) { return tx.put(tables().front(), TenantId(), row); }));
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "RootKeyWrong");
}

TEST_F(SealTest, ManyThreadsSealAndOpen) {
  const auto seal = must_open();
  std::vector<std::jthread> threads;
  std::atomic<int> opened = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string context = "row/" + std::to_string(t);
      for (int i = 0; i < 200; ++i) {
        const std::string secret = std::to_string(t * 1000 + i);
        const auto back = seal->open(context, seal->seal(context, Secret(secret)));
        if (back && back->expose_text() == secret) ++opened;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(opened, 800);
}

}  // namespace
}  // namespace merlon::seal
