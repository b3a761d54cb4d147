// SoftHSM and swtpm for real: what they wrapped opens there and nowhere else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <thread>

#include "crypto/passphrase_key.h"
#include "crypto/pkcs11.h"
#include "crypto/system_random.h"
#include "crypto/test_token.h"
#include "crypto/tpm2.h"

namespace merlon::crypto {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

class Directory : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "merlon-root-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  void TearDown() override { fs::remove_all(path_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    ASSERT_EQ(::chmod((path_ / name).c_str(), 0600), 0);
  }

  fs::path path_;
  SystemRandom random_;
  const Secret secret_{std::string_view("0123456789abcdef0123456789abcdef")};
  const Bytes context_ = to_bytes("context");
};

class Token : public Directory {
 protected:
  void SetUp() override {
    Directory::SetUp();
    token_.emplace(path_);
  }
  TokenKey key(const std::string& token = "merlon", const std::string& object = "root") const {
    return {token_->uri(token, object)};
  }
  std::optional<TestToken> token_;
};

TEST_F(Token, WhatItWrappedOpensAgain) {
  const auto wrapped = token_wrap(key(), secret_, context_, random_);
  ASSERT_TRUE(wrapped) << wrapped.error().message << wrapped.error().cause;
  EXPECT_EQ(std::search(wrapped->begin(), wrapped->end(), secret_.expose().begin(), secret_.expose().end()),
            wrapped->end());
  const auto opened = token_unwrap(key(), *wrapped, context_);
  ASSERT_TRUE(opened) << opened.error().message << opened.error().cause;
  EXPECT_TRUE(*opened == secret_);
  // The second wrap finds the key that the first one made, so that both open.
  const auto again = token_wrap(key(), secret_, context_, random_);
  ASSERT_TRUE(again);
  EXPECT_NE(*again, *wrapped);
  EXPECT_TRUE(token_unwrap(key(), *wrapped, context_));
}

TEST_F(Token, AnyChangeIsRefused) {
  const auto wrapped = token_wrap(key(), secret_, context_, random_);
  ASSERT_TRUE(wrapped);
  for (const size_t at : {size_t{0}, size_t{12}, wrapped->size() - 1}) {
    Bytes bent = *wrapped;
    bent[at] ^= 1;
    EXPECT_FALSE(token_unwrap(key(), bent, context_)) << at;
  }
  EXPECT_FALSE(token_unwrap(key(), *wrapped, to_bytes("another")));
  EXPECT_FALSE(token_unwrap(key(), Bytes(5), context_));
}

TEST_F(Token, AnotherTokenOrKeyDoesNotOpenIt) {
  const auto wrapped = token_wrap(key(), secret_, context_, random_);
  ASSERT_TRUE(wrapped);
  const auto no_key = token_unwrap(key("merlon", "other"), *wrapped, context_);
  ASSERT_FALSE(no_key);
  EXPECT_THAT(no_key.error().message, HasSubstr("no AES key"));
  ASSERT_TRUE(token_wrap(key("merlon", "other"), secret_, context_, random_));
  EXPECT_FALSE(token_unwrap(key("merlon", "other"), *wrapped, context_));
  const auto no_token = token_unwrap(key("absent"), *wrapped, context_);
  ASSERT_FALSE(no_token);
  EXPECT_THAT(no_token.error().message, HasSubstr("is not there"));
}

TEST_F(Token, AWrongPinIsToldAndNeverShown) {
  ASSERT_TRUE(token_wrap(key(), secret_, context_, random_));
  write("pin", "9876");
  const auto refused = token_wrap(key(), secret_, context_, random_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("does not accept the PIN"));
  EXPECT_THAT(refused.error().message + refused.error().cause, Not(HasSubstr("9876")));
  fs::remove(path_ / "pin");
  EXPECT_FALSE(token_wrap(key(), secret_, context_, random_));
}

TEST_F(Token, UrisThatDoNotNameAKeyAreRefused) {
  for (const char* uri : {"", "pkcs11", "pkcs11:", "pkcs11:token=merlon?module-path=/x", "pkcs11:object=a",
                          "pkcs11:token=a;object=b?module-path=/x&pin-value=1234", "pkcs11:%zz",
                          "pkcs11:token=a;unheard-of=b;object=b?module-path=/x"}) {
    const auto refused = token_wrap({uri}, secret_, context_, random_);
    ASSERT_FALSE(refused) << uri;
    EXPECT_EQ(refused.error().code, "InvalidTokenUri") << uri;
  }
  const auto refused =
      token_wrap({"pkcs11:token=a;object=b?module-path=/does/not/exist.so"}, secret_, context_, random_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("/does/not/exist.so"));
}

class Tpm : public Directory {
 protected:
  void SetUp() override {
    Directory::SetUp();
    start("one");
  }
  void TearDown() override {
    stop();
    Directory::TearDown();
  }
  void start(const std::string& name) {
    fs::create_directories(path_ / name);
    socket_ = (path_ / (name + ".sock")).string();
    child_ =
        spawn_quietly({"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + (path_ / name).string(),
                       "--server", "type=unixio,path=" + socket_, "--ctrl",
                       "type=unixio,path=" + socket_ + ".ctrl", "--flags", "not-need-init,startup-clear"});
    for (int i = 0; i < 500 && !fs::exists(socket_); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(fs::exists(socket_)) << "swtpm did not start";
  }
  void stop() {
    if (child_ <= 0) return;
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
    child_ = -1;
  }
  void restart(const std::string& name) {  // swtpm serves one connection, then ends
    stop();
    fs::remove(socket_);
    fs::remove(socket_ + ".ctrl");
    start(name);
  }
  TpmPlace place(std::vector<unsigned> registers = {7}) const {
    return {std::move(registers), "swtpm:path=" + socket_};
  }

  std::string socket_;
  pid_t child_ = -1;
};

TEST_F(Tpm, WhatItSealedOpensThereAlone) {
  const auto sealed = tpm_seal(place({0, 7}), secret_);
  ASSERT_TRUE(sealed) << sealed.error().message << sealed.error().cause;
  restart("one");
  const auto opened = tpm_unseal(place({0, 7}), *sealed);
  ASSERT_TRUE(opened) << opened.error().message << opened.error().cause;
  EXPECT_TRUE(*opened == secret_);
  restart("one");
  EXPECT_FALSE(tpm_unseal(place({0}), *sealed)) << "other registers";
  restart("another");
  const auto refused = tpm_unseal(place({0, 7}), *sealed);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("not the one that sealed this"));
}

TEST_F(Tpm, AChangedRegisterKeepsItShut) {
  const auto sealed = tpm_seal(place({16}), secret_);
  ASSERT_TRUE(sealed) << sealed.error().message << sealed.error().cause;
  ASSERT_TRUE(run_quietly({"env", "TPM2TOOLS_TCTI=swtpm:path=" + socket_, "tpm2_pcrextend",
                           "16:sha256=0000000000000000000000000000000000000000000000000000000000000001"}));
  const auto refused = tpm_unseal(place({16}), *sealed);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("has changed"));
}

TEST_F(Tpm, ADamagedRecordIsRefused) {
  const auto sealed = tpm_seal(place(), secret_);
  ASSERT_TRUE(sealed);
  for (const size_t size : {size_t{0}, size_t{1}, sealed->public_part.size() - 1}) {
    restart("one");
    TpmSealed bent = *sealed;
    bent.public_part.resize(size);
    EXPECT_FALSE(tpm_unseal(place(), bent)) << size;
  }
  restart("one");
  TpmSealed bent = *sealed;
  bent.private_part.back() ^= 1;
  EXPECT_FALSE(tpm_unseal(place(), bent));
}

TEST(TpmPlace, IsReadStrictly) {
  const auto place = parse_tpm_place("pcrs=0,2,7&interface=device:/dev/tpmrm0");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->registers, (std::vector<unsigned>{0, 2, 7}));
  EXPECT_EQ(place->interface, "device:/dev/tpmrm0");
  const auto plain = parse_tpm_place("");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->registers, (std::vector<unsigned>{7}));
  for (const char* text : {"pcrs=", "pcrs=24", "pcrs=-1", "pcrs=1,", "pcrs=a", "interface=", "x=1", "pcrs"})
    EXPECT_FALSE(parse_tpm_place(text)) << text;
}

TEST(PassphraseKey, DependsOnEverything) {
  SystemRandom random;
  PassphraseParameters cheap = new_passphrase_parameters(random);
  cheap.passes = 1;
  cheap.memory_bytes = 8192;
  const Secret phrase{std::string_view("correct horse battery")};
  const auto key = derive_passphrase_key(phrase, cheap);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->size(), 32U);
  EXPECT_TRUE(*derive_passphrase_key(phrase, cheap) == *key);
  EXPECT_FALSE(*derive_passphrase_key(Secret(std::string_view("correct horse batterx")), cheap) == *key);
  PassphraseParameters other = cheap;
  other.salt[0] ^= 1;
  EXPECT_FALSE(*derive_passphrase_key(phrase, other) == *key);
  EXPECT_FALSE(derive_passphrase_key(Secret(std::string_view("short")), cheap));
  other = cheap;
  other.memory_bytes = int64_t{1} << 40;
  EXPECT_FALSE(derive_passphrase_key(phrase, other));
  other = cheap;
  other.salt.clear();
  EXPECT_FALSE(derive_passphrase_key(phrase, other));
}

}  // namespace
}  // namespace merlon::crypto
