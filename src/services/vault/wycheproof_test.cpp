// Project Wycheproof's vectors through the vault's own API: keys are imported, every valid case must be
// accepted and every invalid one refused. What the API's parameters cannot say is left out, and counted with
// its reason.
#include <map>
#include <set>

#include "crypto/digest.h"
#include "crypto/test_corpus.h"
#include "crypto/test_digest.h"
#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

namespace corpus = crypto::testing;

Bytes hex_at(const JsonObject& json, std::string_view key) { return *from_hex(*string_at(json, key)); }
std::string b64(ByteView bytes) { return to_base64url(bytes); }

struct Counts {
  int ran = 0;
  std::map<std::string, int> left_out;
  void report(const std::string& name) const {
    corpus::say_ran(name, ran);
    for (const auto& [why, count] : left_out)
      std::printf("[ CORPUS   ] %s: %d left out: %s\n", name.c_str(), count, why.c_str());
  }
};

class Wycheproof : public VaultFixture {
 protected:
  void SetUp() override { ASSERT_EQ(make_vault("kv-test").status, 200); }

  std::string import(const JsonObject& jwk) {
    const std::string name = "k" + std::to_string(++keys_);
    const Seen made = data("kv-test", "PUT", "/keys/" + name, to_text(JsonObject{{"key", jwk}}));
    return made.status == 200 ? "/keys/" + name : std::string();
  }
  Seen use(const std::string& key, const std::string& verb, const JsonObject& body) {
    return data("kv-test", "POST", key + "/" + verb, to_text(body));
  }
  template <class Each>
  void each_test(const std::string& file, Counts& counts, const Each& each) {
    const auto vectors = corpus::read_wycheproof(file);
    if (!vectors) return;
    for (const Json& group : *array_at(vectors->as_object(), "testGroups")) each(group.as_object());
    EXPECT_GT(counts.ran, 20) << file;
    counts.report(file);
  }
  static void leave_out(Counts& counts, const JsonObject& group, const std::string& why) {
    counts.left_out[why] += static_cast<int>(array_at(group, "tests")->size());
  }
  // "valid" must be accepted, "invalid" refused; "acceptable" may be either.
  static void judge(const JsonObject& test, bool accepted, const std::string& file) {
    const std::string result = *string_at(test, "result");
    if (result == "acceptable") return;
    EXPECT_EQ(accepted, result == "valid")
        << file << " case " << *int_at(test, "tcId") << ": " << string_at(test, "comment").value_or("");
  }

  void verify_file(const std::string& file, const std::string& algorithm, const std::string& sha) {
    Counts counts;
    each_test(file, counts, [&](const JsonObject& group) {
      const JsonObject* jwk = object_at(group, "publicKeyJwk");
      if (jwk == nullptr) jwk = object_at(group, "keyJwk");
      JsonObject key;
      if (jwk != nullptr) {
        key = *jwk;
        if (string_at(key, "crv") == "secp256k1") key["crv"] = "P-256K";
      } else if (const auto modulus = string_at(group, "publicKey.modulus")) {
        key = {{"kty", "RSA"},
               {"n", b64(*from_hex(*modulus))},
               {"e", b64(hex_at(*object_at(group, "publicKey"), "publicExponent"))}};
      } else if (const auto x = string_at(group, "publicKey.wx")) {
        static const std::map<std::string, std::string> names = {
            {"secp256r1", "P-256"}, {"secp384r1", "P-384"}, {"secp521r1", "P-521"}, {"secp256k1", "P-256K"}};
        key = {{"kty", "EC"},
               {"crv", names.at(*string_at(group, "publicKey.curve"))},
               {"x", b64(*from_hex(*x))},
               {"y", b64(hex_at(*object_at(group, "publicKey"), "wy"))}};
      } else {
        return leave_out(counts, group, "the group has no JSON Web Key");
      }
      if (string_at(group, "sha") != sha)
        return leave_out(counts, group, "the API pairs this key with another hash");
      const std::string name = import(key);
      if (name.empty()) return leave_out(counts, group, "the API holds no such key");
      for (const Json& value : *array_at(group, "tests")) {
        const JsonObject& test = value.as_object();
        const Bytes digest = crypto::testing::digest(sha, hex_at(test, "msg"));
        const Seen answer =
            use(name, "verify",
                {{"alg", algorithm}, {"digest", b64(digest)}, {"value", b64(hex_at(test, "sig"))}});
        ASSERT_EQ(answer.status, 200) << answer.text;
        judge(test, answer.body.at("value").as_bool(), file);
        ++counts.ran;
      }
    });
  }

  void decrypt_file(const std::string& file, const std::string& algorithm) {
    Counts counts;
    each_test(file, counts, [&](const JsonObject& group) {
      const JsonObject* jwk = object_at(group, "privateKeyJwk");
      if (jwk == nullptr) return leave_out(counts, group, "the group has no JSON Web Key");
      const bool oaep = algorithm != "RSA1_5";
      const std::string sha = algorithm == "RSA-OAEP" ? "SHA-1" : "SHA-256";
      if (oaep && (string_at(group, "sha") != sha || string_at(group, "mgfSha") != sha))
        return leave_out(counts, group, "the API has no OAEP with these hashes");
      const std::string name = import(*jwk);
      if (name.empty()) return leave_out(counts, group, "the API holds no such key");
      for (const Json& value : *array_at(group, "tests")) {
        const JsonObject& test = value.as_object();
        if (oaep && !string_at(test, "label")->empty()) {
          ++counts.left_out["the API has no OAEP label"];
          continue;
        }
        const JsonObject body{{"alg", algorithm}, {"value", b64(hex_at(test, "ct"))}};
        const Seen opened = use(name, "decrypt", body);
        judge(test, opened.status == 200, file);
        if (opened.status == 200) {
          EXPECT_EQ(opened.at("value"), b64(hex_at(test, "msg")));
        } else {
          refusals_.insert(opened.text.substr(0, opened.text.find("request")));
        }
        EXPECT_EQ(use(name, "unwrapkey", body).status, opened.status);
        ++counts.ran;
      }
    });
  }

  int keys_ = 0;
  std::set<std::string> refusals_;
};

TEST_F(Wycheproof, Ecdsa) {
  verify_file("ecdsa_secp256r1_sha256_p1363_test", "ES256", "SHA-256");
  verify_file("ecdsa_secp384r1_sha384_p1363_test", "ES384", "SHA-384");
  verify_file("ecdsa_secp521r1_sha512_p1363_test", "ES512", "SHA-512");
  verify_file("ecdsa_secp256k1_sha256_p1363_test", "ES256K", "SHA-256");
}

TEST_F(Wycheproof, RsaSignatures) {
  for (const std::string bits : {"2048", "3072", "4096"})
    for (const std::string sha : {"256", "384", "512"})
      verify_file("rsa_signature_" + bits + "_sha" + sha + "_test", "RS" + sha, "SHA-" + sha);
}

TEST_F(Wycheproof, RsaPss) {
  verify_file("rsa_pss_2048_sha256_mgf1_32_test", "PS256", "SHA-256");
  verify_file("rsa_pss_3072_sha256_mgf1_32_test", "PS256", "SHA-256");
  verify_file("rsa_pss_4096_sha256_mgf1_32_test", "PS256", "SHA-256");
  verify_file("rsa_pss_2048_sha384_mgf1_48_test", "PS384", "SHA-384");
  verify_file("rsa_pss_4096_sha384_mgf1_48_test", "PS384", "SHA-384");
  verify_file("rsa_pss_4096_sha512_mgf1_64_test", "PS512", "SHA-512");
}

TEST_F(Wycheproof, RsaDecryption) {
  decrypt_file("rsa_oaep_2048_sha1_mgf1sha1_test", "RSA-OAEP");
  decrypt_file("rsa_oaep_2048_sha256_mgf1sha256_test", "RSA-OAEP-256");
  decrypt_file("rsa_oaep_3072_sha256_mgf1sha256_test", "RSA-OAEP-256");
  decrypt_file("rsa_oaep_4096_sha256_mgf1sha256_test", "RSA-OAEP-256");
  for (const std::string bits : {"2048", "3072", "4096"})
    decrypt_file("rsa_pkcs1_" + bits + "_test", "RSA1_5");
  // No oracle: whatever is wrong, the answer is one.
  if (keys_ > 0) {
    EXPECT_EQ(refusals_.size(), 1U);
  }
}

TEST_F(Wycheproof, AesGcmAndCbc) {
  for (const bool gcm : {true, false}) {
    const std::string file = gcm ? "aes_gcm_test" : "aes_cbc_pkcs5_test";
    Counts counts;
    each_test(file, counts, [&](const JsonObject& group) {
      if (gcm && (int_at(group, "ivSize") != 96 || int_at(group, "tagSize") != 128))
        return leave_out(counts, group, "the API's GCM has ivs of 96 bits and tags of 128");
      const std::string algorithm =
          "A" + std::to_string(*int_at(group, "keySize")) + (gcm ? "GCM" : "CBCPAD");
      for (const Json& value : *array_at(group, "tests")) {
        const JsonObject& test = value.as_object();
        const std::string name = import({{"kty", "oct"}, {"k", b64(hex_at(test, "key"))}});
        ASSERT_FALSE(name.empty());
        JsonObject body{
            {"alg", algorithm}, {"value", b64(hex_at(test, "ct"))}, {"iv", b64(hex_at(test, "iv"))}};
        if (gcm) body["tag"] = b64(hex_at(test, "tag"));
        if (gcm) body["aad"] = b64(hex_at(test, "aad"));
        const Seen opened = use(name, "decrypt", body);
        judge(test, opened.status == 200, file);
        if (opened.status == 200) {
          EXPECT_EQ(opened.at("value"), b64(hex_at(test, "msg")));
        }
        ++counts.ran;
      }
    });
  }
}

TEST_F(Wycheproof, AesKeyWrap) {
  for (const bool padded : {false, true}) {
    const std::string file = padded ? "aes_kwp_test" : "aes_wrap_test";
    Counts counts;
    each_test(file, counts, [&](const JsonObject& group) {
      const std::string algorithm =
          padded ? "CKM_AES_KEY_WRAP_PAD" : "A" + std::to_string(*int_at(group, "keySize")) + "KW";
      for (const Json& value : *array_at(group, "tests")) {
        const JsonObject& test = value.as_object();
        const std::string name = import({{"kty", "oct"}, {"k", b64(hex_at(test, "key"))}});
        ASSERT_FALSE(name.empty());
        const Seen opened = use(name, "unwrapkey", {{"alg", algorithm}, {"value", b64(hex_at(test, "ct"))}});
        judge(test, opened.status == 200, file);
        if (opened.status == 200) {
          EXPECT_EQ(opened.at("value"), b64(hex_at(test, "msg")));
        }
        if (*string_at(test, "result") == "valid") {
          const Seen wrapped =
              use(name, "wrapkey", {{"alg", algorithm}, {"value", b64(hex_at(test, "msg"))}});
          EXPECT_EQ(wrapped.at("value"), b64(hex_at(test, "ct"))) << wrapped.text;
        }
        ++counts.ran;
      }
    });
  }
}

TEST_F(Wycheproof, Hmac) {
  for (const std::string sha : {"256", "384", "512"}) {
    Counts counts;
    each_test("hmac_sha" + sha + "_test", counts, [&](const JsonObject& group) {
      if (int_at(group, "tagSize") != std::stoi(sha))
        return leave_out(counts, group, "the API truncates no tags");
      for (const Json& value : *array_at(group, "tests")) {
        const JsonObject& test = value.as_object();
        const std::string name = import({{"kty", "oct"}, {"k", b64(hex_at(test, "key"))}});
        if (name.empty()) {
          ++counts.left_out["the API's symmetric keys have 128, 192, 256, 384 or 512 bits"];
          continue;
        }
        const Seen answer = use(
            name, "verify",
            {{"alg", "HS" + sha}, {"digest", b64(hex_at(test, "msg"))}, {"value", b64(hex_at(test, "tag"))}});
        ASSERT_EQ(answer.status, 200) << answer.text;
        judge(test, answer.body.at("value").as_bool(), "hmac");
        ++counts.ran;
      }
    });
  }
}

}  // namespace
}  // namespace merlon::vault
