// Keys in a hardware token (SoftHSM) through the data plane: made, used, rotated, destroyed; and none left
// behind.
#include "services/vault/hsm_keys.h"

#include <gmock/gmock.h>

#include "crypto/digest.h"
#include "crypto/test_token.h"
#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

using ::testing::HasSubstr;

class HsmKeysTest : public VaultFixture {
 protected:
  HsmKeysTest() : token_(path_ + "/hsm") {
    hsm_ = must(crypto::Hsm::at(token_.uri()));
    serve(true);
    EXPECT_EQ(make_vault("prime", R"("enableRbacAuthorization":true)").status, 200);
    EXPECT_EQ(control("PATCH", vault_id("prime"), R"({"properties":{"sku":{"family":"A","name":"premium"}}})")
                  .status,
              200);
  }
  // The server once more, over the same state: with the token or without.
  void serve(bool with_token) {
    vaults_.reset();
    manager_ = resource::Manager::make(*core_);
    grants_ = std::make_unique<grant::Grants>(*core_, *manager_);
    machines_ = must(machine::Machines::open(*core_, *manager_, *grants_));
    platform_.reset(new Platform{*core_, *manager_, *grants_, *machines_});
    compute_ = compute::install(*platform_);
    network_ = network::install(*platform_, *compute_);
    vaults_ = install(*platform_, with_token ? must(crypto::Hsm::at(token_.uri())) : nullptr);
  }
  Seen create(const std::string& name, const std::string& body) {
    return data("prime", "POST", "/keys/" + name + "/create", body);
  }
  static Bytes object_of(const Seen& key) {
    const std::string id = key.at("key.kid");
    return *from_hex(id.substr(id.rfind('/') + 1));
  }
  size_t rows() {
    return must(store::read_value<std::vector<TokenObject>>(
                    *store_,
                    [&](store::Reader& reader) {
                      return store::scan<TokenObject>(
                          reader, tenant_, {.prefix = {}, .after = {}, .after_key = {}, .limit = 100});
                    }))
        .size();
  }
  void tick(std::chrono::seconds later) {
    clock_.advance(later);
    owner_token_.clear();  // it may have run out
    must(vaults_->tick({}));
  }

  crypto::TestToken token_;
  std::unique_ptr<crypto::Hsm> hsm_;  // a look of our own
};

TEST_F(HsmKeysTest, AKeyIsMadeInTheTokenAndUsedThere) {
  const Seen rsa = create("rsa", R"({"kty":"RSA-HSM","key_size":2048})");
  ASSERT_EQ(rsa.status, 200) << rsa.text;
  EXPECT_EQ(rsa.at("key.kty"), "RSA-HSM");
  EXPECT_TRUE(must(hsm_->holds(object_of(rsa))));
  EXPECT_EQ(rows(), 0U);
  const std::string digest = to_base64url(random_.bytes(32));
  const Seen signature =
      data("prime", "POST", "/keys/rsa/sign", R"({"alg":"PS256","value":")" + digest + R"("})");
  ASSERT_EQ(signature.status, 200) << signature.text;
  const auto open = must(crypto::KeyMaterial::from_jwk(*object_at(rsa.body, "key")));
  EXPECT_TRUE(must(open.verify("PS256", *from_base64url(digest), *from_base64url(signature.at("value")))));
  const Seen verified =
      data("prime", "POST", "/keys/rsa/verify",
           R"({"alg":"PS256","digest":")" + digest + R"(","value":")" + signature.at("value") + R"("})");
  EXPECT_TRUE(bool_at(verified.body, "value").value_or(false)) << verified.text;
  const std::string plain = to_base64url(to_bytes("a secret"));
  for (const auto& [make, back] : {std::pair{"encrypt", "decrypt"}, {"wrapkey", "unwrapkey"}}) {
    const std::string path = "/keys/rsa/";
    const Seen made =
        data("prime", "POST", path + make, R"({"alg":"RSA-OAEP-256","value":")" + plain + R"("})");
    ASSERT_EQ(made.status, 200) << made.text;
    const Seen opened =
        data("prime", "POST", path + back, R"({"alg":"RSA-OAEP-256","value":")" + made.at("value") + R"("})");
    EXPECT_EQ(opened.at("value"), plain) << opened.text;
  }
}

TEST_F(HsmKeysTest, EveryKindDoesWhatItsAlgorithmsSay) {
  const Seen ec = create("ec", R"({"kty":"EC-HSM","crv":"P-256K"})");
  ASSERT_EQ(ec.status, 200) << ec.text;
  const std::string digest = to_base64url(random_.bytes(32));
  const Seen signature =
      data("prime", "POST", "/keys/ec/sign", R"({"alg":"ES256K","value":")" + digest + R"("})");
  ASSERT_EQ(signature.status, 200) << signature.text;
  const auto open = must(crypto::KeyMaterial::from_jwk(*object_at(ec.body, "key")));
  EXPECT_TRUE(must(open.verify("ES256K", *from_base64url(digest), *from_base64url(signature.at("value")))));

  ASSERT_EQ(create("aes", R"({"kty":"oct-HSM","key_size":256})").status, 200);
  const std::string key = to_base64url(random_.bytes(32));
  const Seen wrapped =
      data("prime", "POST", "/keys/aes/wrapkey", R"({"alg":"A256KW","value":")" + key + R"("})");
  ASSERT_EQ(wrapped.status, 200) << wrapped.text;
  EXPECT_EQ(data("prime", "POST", "/keys/aes/unwrapkey",
                 R"({"alg":"A256KW","value":")" + wrapped.at("value") + R"("})")
                .at("value"),
            key);
  const Seen sealed =
      data("prime", "POST", "/keys/aes/encrypt", R"({"alg":"A256GCM","value":")" + key + R"("})");
  ASSERT_EQ(sealed.status, 200) << sealed.text;
  EXPECT_EQ(data("prime", "POST", "/keys/aes/decrypt",
                 R"({"alg":"A256GCM","value":")" + sealed.at("value") + R"(","iv":")" + sealed.at("iv") +
                     R"(","tag":")" + sealed.at("tag") + R"("})")
                .at("value"),
            key);
  // An AES key makes no HMAC, and says so before a token is asked.
  EXPECT_EQ(data("prime", "POST", "/keys/aes/sign", R"({"alg":"HS256","value":")" + key + R"("})").inner(),
            "KeyOperationForbidden");

  ASSERT_EQ(create("mac", R"({"kty":"oct-HSM","key_size":512,"key_ops":["sign","verify"]})").status, 200);
  const Seen mac = data("prime", "POST", "/keys/mac/sign", R"({"alg":"HS512","value":")" + key + R"("})");
  ASSERT_EQ(mac.status, 200) << mac.text;
  const Seen good = data("prime", "POST", "/keys/mac/verify",
                         R"({"alg":"HS512","digest":")" + key + R"(","value":")" + mac.at("value") + R"("})");
  EXPECT_TRUE(bool_at(good.body, "value").value_or(false)) << good.text;
  EXPECT_EQ(create("both", R"({"kty":"oct-HSM","key_ops":["sign","encrypt"]})").code(), "BadParameter");
  const Seen arm = control("PUT", vault_id("prime") + "/keys/arm", R"({"properties":{"kty":"EC-HSM"}})");
  EXPECT_EQ(arm.at("properties.kty"), "EC-HSM") << arm.text;
  EXPECT_EQ(rows(), 0U);
}

TEST_F(HsmKeysTest, RotationMakesAnotherKeyInTheToken) {
  const Seen first = create("k", R"({"kty":"EC-HSM","crv":"P-384"})");
  const Seen second = data("prime", "POST", "/keys/k/rotate");
  ASSERT_EQ(second.status, 200) << second.text;
  EXPECT_EQ(second.at("key.kty"), "EC-HSM");
  EXPECT_NE(second.at("key.x"), first.at("key.x"));
  EXPECT_TRUE(must(hsm_->holds(object_of(first))));
  EXPECT_TRUE(must(hsm_->holds(object_of(second))));
  ASSERT_EQ(data("prime", "PUT", "/keys/k/rotationpolicy",
                 R"({"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}]})")
                .status,
            200);
  tick(std::chrono::hours(24 * 31));
  EXPECT_EQ(array_at(data("prime", "GET", "/keys/k/versions").body, "value")->size(), 3U);
  EXPECT_EQ(data("prime", "GET", "/keys/k").at("key.kty"), "EC-HSM");
}

TEST_F(HsmKeysTest, DeletingKeepsAndPurgingDestroys) {
  const Seen key = create("k", R"({"kty":"EC-HSM"})");
  ASSERT_EQ(data("prime", "DELETE", "/keys/k").status, 200);
  tick(std::chrono::seconds(10));
  EXPECT_TRUE(must(hsm_->holds(object_of(key))));
  ASSERT_EQ(data("prime", "POST", "/deletedkeys/k/recover").status, 200);
  ASSERT_EQ(data("prime", "DELETE", "/keys/k").status, 200);
  ASSERT_EQ(data("prime", "DELETE", "/deletedkeys/k").status, 204);
  EXPECT_FALSE(must(hsm_->holds(object_of(key))));  // when it is answered
  EXPECT_EQ(rows(), 0U);
}

TEST_F(HsmKeysTest, APurgedVaultsKeysAreDestroyed) {
  const Seen key = create("k", R"({"kty":"EC-HSM"})");
  ASSERT_EQ(control("DELETE", vault_id("prime")).status, 200);
  ASSERT_EQ(control("POST",
                    "/subscriptions/22222222-2222-4222-8222-222222222222/providers/Microsoft.KeyVault/"
                    "locations/local/deletedVaults/prime/purge")
                .status,
            202);
  tick(std::chrono::seconds(10));
  tick(std::chrono::seconds(10));
  EXPECT_FALSE(must(hsm_->holds(object_of(key))));
}

// The transaction that would have filed the key fails: another made the name's deleted object in between, the
// server died. What the token has is destroyed when nobody can want it any more, and not before.
TEST_F(HsmKeysTest, AKeyThatWasNeverFiledIsSweptAway) {
  const auto vault = must(store::read_value<std::optional<Vault>>(
      *store_, [&](store::Reader& reader) { return store::get<Vault>(reader, tenant_, "prime"); }));
  const HsmKeys keys(*core_, must(crypto::Hsm::at(token_.uri())));
  const KeyInToken lost = must(keys.make(
      *vault, "lost",
      {.id = {}, .label = {}, .kind = crypto::MaterialKind::ec, .bits = 0, .exponent = 0, .curve = "P-256"}));
  const Bytes id = *from_hex(lost.version_id);
  EXPECT_TRUE(must(hsm_->holds(id)));
  EXPECT_EQ(rows(), 1U);
  tick(std::chrono::minutes(10));
  EXPECT_TRUE(must(hsm_->holds(id)));  // it may still be filed
  tick(std::chrono::minutes(10));
  EXPECT_FALSE(must(hsm_->holds(id)));
  EXPECT_EQ(rows(), 0U);
  // And who comes too late is told so, and files no key that is not there.
  const auto late = store_->write([&](store::Transaction& tx) { return keys.keep(tx, lost); });
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, "TokenTooSlow");
}

// A backup that was made while a key was being made knows nothing of its being filed since.
TEST_F(HsmKeysTest, ARestoredBackupDestroysNoKeyThatWasFiledLater) {
  const auto vault = must(store::read_value<std::optional<Vault>>(
      *store_, [&](store::Reader& reader) { return store::get<Vault>(reader, tenant_, "prime"); }));
  const HsmKeys keys(*core_, must(crypto::Hsm::at(token_.uri())));
  const KeyInToken made = must(keys.make(
      *vault, "later",
      {.id = {}, .label = {}, .kind = crypto::MaterialKind::ec, .bits = 0, .exponent = 0, .curve = "P-256"}));
  ASSERT_EQ(create("gone", R"({"kty":"EC-HSM"})").status, 200);
  const Bytes gone = object_of(data("prime", "GET", "/keys/gone"));
  serve(false);
  ASSERT_EQ(data("prime", "DELETE", "/keys/gone").status, 200);
  ASSERT_EQ(data("prime", "DELETE", "/deletedkeys/gone").status, 204);
  serve(true);
  ASSERT_EQ(rows(), 2U);
  const auto left = must(store::write_value<std::vector<std::string>>(
      *store_, [&](store::Transaction& tx) { return forget_keys_being_made(tx, tenant_); }));
  EXPECT_THAT(left, testing::ElementsAre(made.version_id));
  tick(std::chrono::hours(24));
  EXPECT_TRUE(must(hsm_->holds(*from_hex(made.version_id)))) << "somebody may have filed it";
  EXPECT_FALSE(must(hsm_->holds(gone))) << "what was purged before is destroyed";
  EXPECT_EQ(rows(), 0U);
}

TEST_F(HsmKeysTest, WhatATokenCannotDoIsSaid) {
  EXPECT_EQ(make_vault("plain").status, 200);
  const Seen standard = data("plain", "POST", "/keys/k/create", R"({"kty":"RSA-HSM"})");
  EXPECT_EQ(standard.status, 403);
  EXPECT_THAT(standard.at("error.message"),
              HasSubstr("Hardware key operation not allowed on standard vault"));
  EXPECT_EQ(create("k", R"({"kty":"RSA-HSM","key_size":1024})").code(), "BadParameter");
  EXPECT_EQ(create("k", R"({"kty":"DSA-HSM"})").code(), "BadParameter");
  EXPECT_EQ(create("k", R"({"kty":"EC-HSM","crv":"P-1"})").code(), "BadParameter");
  EXPECT_EQ(create("k", R"({"kty":"EC-HSM","key_ops":["fly"]})").code(), "BadParameter");
  EXPECT_EQ(data("prime", "GET", "/keys").body.at("value").get_array().size(), 0U);
  const Seen imported =
      data("prime", "PUT", "/keys/k", R"({"Hsm":true,"key":{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}})");
  EXPECT_EQ(imported.code(), "NotSupported") << imported.text;
  ASSERT_EQ(create("k", R"({"kty":"EC-HSM"})").status, 200);
  const Seen backup = data("prime", "POST", "/keys/k/backup");
  EXPECT_EQ(backup.code(), "NotSupported");
  EXPECT_THAT(backup.at("error.message"), HasSubstr("never leaves it"));
}

TEST_F(HsmKeysTest, WithoutItsTokenAKeyWaits) {
  ASSERT_EQ(create("k", R"({"kty":"EC-HSM"})").status, 200);
  serve(false);
  const std::string digest = to_base64url(random_.bytes(32));
  const std::string body = R"({"alg":"ES256","value":")" + digest + R"("})";
  const Seen waits = data("prime", "POST", "/keys/k/sign", body);
  EXPECT_EQ(waits.status, 503) << waits.text;
  EXPECT_THAT(waits.at("error.message"), HasSubstr("--hsm"));
  EXPECT_EQ(create("n", R"({"kty":"EC-HSM"})").code(), "NotSupported");
  EXPECT_EQ(data("prime", "GET", "/keys/k").status, 200);
  ASSERT_EQ(data("prime", "DELETE", "/keys/k").status, 200);
  ASSERT_EQ(data("prime", "DELETE", "/deletedkeys/k").status, 204);
  EXPECT_EQ(rows(), 1U);  // for the day when the token is back
  serve(true);
  tick(std::chrono::seconds(10));
  EXPECT_EQ(rows(), 0U);
}

}  // namespace
}  // namespace merlon::vault
