// Keys in SoftHSM for real: what they do agrees with OpenSSL, and none of them can be had.
#include "crypto/hsm.h"

#include <gmock/gmock.h>

#include <optional>
#include <thread>

#include "crypto/pkcs11_session.h"
#include "crypto/system_random.h"
#include "crypto/test_token.h"

namespace merlon::crypto {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

const Bytes kId = to_bytes("0123456789abcdef");

class HsmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "merlon-hsm-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    token_.emplace(name);
    auto opened = Hsm::at(token_->uri());
    ASSERT_TRUE(opened) << opened.error().message;
    hsm_ = *std::move(opened);
  }
  void TearDown() override {
    hsm_.reset();
    fs::remove_all(token_->path());
  }
  HsmKeyWish wish(MaterialKind kind, int64_t bits, std::string curve = {}, bool signs = false) const {
    return {
        .id = kId, .label = "kv/k/1", .kind = kind, .bits = bits, .curve = std::move(curve), .signs = signs};
  }
  HsmKey made(const HsmKeyWish& wished, JsonObject* shown = nullptr) {
    const auto jwk = hsm_->generate(wished);
    EXPECT_TRUE(jwk) << jwk.error().message << jwk.error().cause;
    if (jwk && shown != nullptr) *shown = *jwk;
    return {wished.id, wished.kind, static_cast<unsigned>(wished.bits), wished.curve};
  }
  Bytes digest(size_t size) { return random_.bytes(size); }

  std::optional<TestToken> token_;
  std::unique_ptr<Hsm> hsm_;
  SystemRandom random_;
};

TEST_F(HsmTest, RsaKeysSignAndDecryptAsOpenSslVerifiesAndEncrypts) {
  JsonObject jwk;
  const HsmKey key = made(wish(MaterialKind::rsa, 2048), &jwk);
  EXPECT_EQ(*string_at(jwk, "kty"), "RSA-HSM");
  const auto open = KeyMaterial::from_jwk(jwk);
  ASSERT_TRUE(open) << open.error().message;
  EXPECT_FALSE(open->is_private());
  for (const auto& [name, size] :
       {std::pair{"RS256", 32}, {"RS384", 48}, {"RS512", 64}, {"PS256", 32}, {"PS384", 48}, {"PS512", 64}}) {
    const Bytes value = digest(static_cast<size_t>(size));
    const auto signature = hsm_->sign(key, name, value);
    ASSERT_TRUE(signature) << name << signature.error().message;
    EXPECT_TRUE(*open->verify(name, value, *signature)) << name;
    EXPECT_FALSE(*open->verify(name, digest(static_cast<size_t>(size)), *signature)) << name;
  }
  const Secret plain(std::string_view("a data key of thirty-two bytes.."));
  for (const char* name : {"RSA-OAEP", "RSA-OAEP-256", "RSA1_5"}) {
    auto sealed = open->encrypt({.algorithm = name, .iv = {}, .aad = {}}, plain.expose(), random_);
    ASSERT_TRUE(sealed) << name;
    const auto opened =
        hsm_->decrypt(key, {.algorithm = name, .iv = {}, .aad = {}, .tag = {}}, sealed->value);
    ASSERT_TRUE(opened) << name << opened.error().message;
    EXPECT_TRUE(*opened == plain) << name;
    EXPECT_TRUE(*hsm_->unwrap(key, name, sealed->value) == plain) << name;
    sealed->value[40] ^= 1;
    const auto refused =
        hsm_->decrypt(key, {.algorithm = name, .iv = {}, .aad = {}, .tag = {}}, sealed->value);
    if (refused) {  // RSA1_5 may come out as something else
      EXPECT_FALSE(*refused == plain) << name;
    } else {
      EXPECT_EQ(refused.error().code, "BadParameter") << name << refused.error().message;
    }
  }
}

TEST_F(HsmTest, EcKeysSignOnEachCurve) {
  for (const auto& [curve, name, size] : {std::tuple{"P-256", "ES256", 32},
                                          {"P-384", "ES384", 48},
                                          {"P-521", "ES512", 64},
                                          {"P-256K", "ES256K", 32}}) {
    HsmKeyWish wished = wish(MaterialKind::ec, 0, curve);
    wished.id = to_bytes(curve);
    JsonObject jwk;
    const HsmKey key = made(wished, &jwk);
    const auto open = KeyMaterial::from_jwk(jwk);
    ASSERT_TRUE(open) << curve << open.error().message;
    const Bytes value = digest(static_cast<size_t>(size));
    const auto signature = hsm_->sign(key, name, value);
    ASSERT_TRUE(signature) << curve << signature.error().message;
    EXPECT_TRUE(*open->verify(name, value, *signature)) << curve;
    EXPECT_FALSE(hsm_->sign(key, "RS256", digest(32)));
    EXPECT_FALSE(hsm_->sign(key, name, digest(31)));
  }
}

TEST_F(HsmTest, SymmetricKeysEncryptWrapAndSign) {
  for (const unsigned bits : {128U, 192U, 256U}) {
    HsmKeyWish wished = wish(MaterialKind::oct, bits);
    wished.id = to_bytes("aes" + std::to_string(bits));
    const HsmKey key = made(wished);
    const std::string prefix = "A" + std::to_string(bits);
    for (const char* mode : {"GCM", "CBC", "CBCPAD"}) {
      const Bytes plain = random_.bytes(std::string(mode) == "CBC" ? 48 : 45);
      const bool gcm = std::string(mode) == "GCM";
      const Bytes aad = gcm ? to_bytes("for this") : Bytes();
      const auto sealed =
          hsm_->encrypt(key, {.algorithm = prefix + mode, .iv = {}, .aad = aad}, plain, random_);
      ASSERT_TRUE(sealed) << prefix << mode << sealed.error().message;
      EXPECT_EQ(sealed->tag.size(), gcm ? 16U : 0U);
      DecryptParameters back{.algorithm = prefix + mode, .iv = sealed->iv, .aad = aad, .tag = sealed->tag};
      const auto opened = hsm_->decrypt(key, back, sealed->value);
      ASSERT_TRUE(opened) << prefix << mode << opened.error().message;
      EXPECT_TRUE(*opened == Secret(plain));
      if (!gcm) continue;
      back.tag[3] ^= 1;
      const auto bent = hsm_->decrypt(key, back, sealed->value);
      ASSERT_FALSE(bent);
      EXPECT_EQ(bent.error().code, "BadParameter") << bent.error().message;
    }
    for (const std::string& name : {prefix + "KW", std::string("CKM_AES_KEY_WRAP")}) {
      const Bytes secret = random_.bytes(32);
      const auto wrapped = hsm_->wrap(key, name, secret);
      ASSERT_TRUE(wrapped) << name << wrapped.error().message;
      const auto unwrapped = hsm_->unwrap(key, name, *wrapped);
      ASSERT_TRUE(unwrapped) << name << unwrapped.error().message;
      EXPECT_TRUE(*unwrapped == Secret(secret));
      Bytes bent = *wrapped;
      bent[9] ^= 1;
      EXPECT_EQ(hsm_->unwrap(key, name, bent).error().code, "BadParameter");
    }
    EXPECT_EQ(hsm_->wrap(key, "CKM_AES_KEY_WRAP_PAD", random_.bytes(21)).error().code, "BadParameter");
    EXPECT_FALSE(hsm_->wrap(key, "A" + std::to_string(bits == 128 ? 256 : 128) + "KW", random_.bytes(32)));
  }
  HsmKeyWish wished = wish(MaterialKind::oct, 512, {}, true);
  const HsmKey mac = made(wished);
  for (const char* name : {"HS256", "HS384", "HS512"}) {
    const auto tag = hsm_->sign(mac, name, to_bytes("a message"));
    ASSERT_TRUE(tag) << name << tag.error().message;
    EXPECT_TRUE(*hsm_->verify_mac(mac, name, to_bytes("a message"), *tag));
    EXPECT_FALSE(*hsm_->verify_mac(mac, name, to_bytes("another"), *tag));
  }
}

TEST_F(HsmTest, KeyWrapIsTheOneOfRfc3394) {
  // Wrapped in the token by one key that it also gives us in the clear is what no token does; so: the token's
  // key wraps a key, and what a second wrap makes is the same, since RFC 3394 has no randomness.
  const HsmKey key = made(wish(MaterialKind::oct, 256));
  const Bytes secret = random_.bytes(32);
  EXPECT_EQ(*hsm_->wrap(key, "A256KW", secret), *hsm_->wrap(key, "A256KW", secret));
  EXPECT_EQ(hsm_->wrap(key, "A256KW", secret)->size(), 40U);
}

// Asked by the token's own interface, with the PIN.
TEST_F(HsmTest, NoKeyCanBeHad) {
  made(wish(MaterialKind::rsa, 2048));
  HsmKeyWish secret = wish(MaterialKind::oct, 256);
  secret.id = to_bytes("another");
  made(secret);
  auto uri = parse_token_uri(token_->uri(), UriObject::none);
  ASSERT_TRUE(uri);
  auto token = OpenToken::open(uri->get());
  ASSERT_TRUE(token);
  const auto session = token->open_session();
  ASSERT_TRUE(session);
  CK_FUNCTION_LIST& functions = token->functions();
  ASSERT_EQ(functions.C_FindObjectsInit(*session, nullptr, 0), CKR_OK);
  std::array<CK_OBJECT_HANDLE, 16> found{};
  CK_ULONG count = 0;
  ASSERT_EQ(functions.C_FindObjects(*session, found.data(), found.size(), &count), CKR_OK);
  functions.C_FindObjectsFinal(*session);
  EXPECT_EQ(count, 2U);  // the public half is not kept there
  for (CK_ULONG i = 0; i < count; ++i)
    for (const CK_ATTRIBUTE_TYPE type : {CKA_VALUE, CKA_PRIVATE_EXPONENT, CKA_PRIME_1}) {
      Bytes room(512);
      CK_ATTRIBUTE asked{type, room.data(), room.size()};
      EXPECT_NE(functions.C_GetAttributeValue(*session, found[i], &asked, 1), CKR_OK);
    }
}

TEST_F(HsmTest, WhatIsDestroyedIsGone) {
  const HsmKey key = made(wish(MaterialKind::ec, 0, "P-256"));
  ASSERT_TRUE(hsm_->sign(key, "ES256", digest(32)));
  EXPECT_TRUE(*hsm_->holds(kId));
  ASSERT_TRUE(hsm_->destroy(kId));
  EXPECT_FALSE(*hsm_->holds(kId));
  const auto gone = hsm_->sign(key, "ES256", digest(32));
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error().message, HasSubstr("no key of this id"));
  EXPECT_TRUE(hsm_->destroy(kId));
}

TEST_F(HsmTest, ATokenThatWentAwayIsFoundAgain) {
  const HsmKey key = made(wish(MaterialKind::ec, 0, "P-256"));
  CK_FUNCTION_LIST* module =
      p11_kit().module_load("/usr/lib/softhsm/libsofthsm2.so", P11_KIT_MODULE_UNMANAGED);
  ASSERT_NE(module, nullptr);
  std::array<CK_SLOT_ID, 8> slots{};
  CK_ULONG count = slots.size();
  ASSERT_EQ(module->C_GetSlotList(CK_TRUE, slots.data(), &count), CKR_OK);
  for (CK_ULONG i = 0; i < count; ++i) module->C_CloseAllSessions(slots[i]);
  const auto signature = hsm_->sign(key, "ES256", digest(32));
  EXPECT_TRUE(signature) << signature.error().message;
  p11_kit().module_release(module);
}

TEST_F(HsmTest, ManyAtOnce) {
  JsonObject jwk;
  const HsmKey key = made(wish(MaterialKind::ec, 0, "P-256"), &jwk);
  const auto open = KeyMaterial::from_jwk(jwk);
  ASSERT_TRUE(open);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      SystemRandom random;
      for (int n = 0; n < 25; ++n) {
        const Bytes value = random.bytes(32);
        const auto signature = hsm_->sign(key, "ES256", value);
        if (signature && *open->verify("ES256", value, *signature)) ++good;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 100);
}

TEST_F(HsmTest, AWrongPinIsTriedOnceAndACorrectedOneAtOnce) {
  hsm_ = *Hsm::at(token_->uri());
  token_->write("pin", "9876");
  const auto refused = hsm_->probe();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("does not accept the PIN"));
  token_->write("pin", "1234");
  EXPECT_TRUE(hsm_->probe()) << "the file has another PIN now";
  hsm_ = *Hsm::at(token_->uri());
  token_->write("pin", "9876");
  ASSERT_FALSE(hsm_->probe());
  token_->write("pin", "");
  EXPECT_THAT(hsm_->probe().error().message, HasSubstr("does not accept the PIN")) << "nothing to try";
  token_->write("pin", "9876\n");
  EXPECT_THAT(hsm_->probe().error().message, HasSubstr("does not accept the PIN")) << "the same one";
  token_->write("pin", "1234\n");
  EXPECT_TRUE(hsm_->probe());
}

TEST_F(HsmTest, WhatThereIsNotIsRefused) {
  EXPECT_EQ(Hsm::at(token_->uri("merlon", "one")).error().code, "InvalidTokenUri");
  EXPECT_EQ(Hsm::at("pkcs11:token=a").error().code, "InvalidTokenUri");
  EXPECT_EQ((*Hsm::at(token_->uri("absent")))->probe().error().code, "TokenRefused");
  EXPECT_EQ(hsm_->generate(wish(MaterialKind::rsa, 1024)).error().code, "BadParameter");
  EXPECT_EQ(hsm_->generate(wish(MaterialKind::ec, 0, "P-1")).error().code, "BadParameter");
  EXPECT_EQ(hsm_->generate(wish(MaterialKind::oct, 512)).error().code, "BadParameter");
  EXPECT_EQ(hsm_->random_bytes(32)->size(), 32U);
  EXPECT_FALSE(*hsm_->random_bytes(32) == *hsm_->random_bytes(32));
}

}  // namespace
}  // namespace merlon::crypto
