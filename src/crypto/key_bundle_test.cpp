// Files that people import, made to keep a server busy: what they ask for is known before any of it is done.
#include "crypto/key_bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "crypto/customer_certificate.h"
#include "crypto/key_numbers.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"

namespace merlon::crypto {
namespace {

using ::testing::HasSubstr;

Bytes certificate_of(const KeyMaterial& key) {
  SystemRandom random;
  CertificateProfile profile;
  profile.subject = "CN=foreign";
  profile.dns_names = {"www.example.org"};
  profile.usages = {"digitalSignature"};
  const CertificateTimes times{Timestamp(std::chrono::seconds(1'790'000'000)),
                               Timestamp(std::chrono::seconds(1'820'000'000))};
  return *self_sign(profile, times, key, random);
}

Bytes der_of(PKCS12* pfx) {
  unsigned char* der = nullptr;
  const int size = i2d_PKCS12(pfx, &der);
  Bytes out(der, der + size);
  OPENSSL_free(der);
  PKCS12_free(pfx);
  return out;
}

// OpenSSL hashes a password as often as a file says: each place that says so is looked at, and none is done
// that asks for more than all may together.
TEST(KeyBundle, APfxThatAsksForYearsOfWorkIsRefusedUndone) {
  const KeyMaterial key = *KeyMaterial::generate_rsa(2048);
  const Bytes der = certificate_of(key);
  const uint8_t* cursor = der.data();
  const CertificateHandle certificate(d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
  PKCS12* made = PKCS12_create("sesame", nullptr, key.handle(), certificate.get(), nullptr, NID_aes_256_cbc,
                               NID_aes_256_cbc, 100'000, 100'000, 0);
  const Bytes pfx = der_of(made);
  const std::string text(as_text(pfx));
  const Secret password(std::string_view("sesame"));
  ASSERT_TRUE(read_pfx(as_bytes(text), password));
  const std::string rounds("\x02\x03\x01\x86\xa0", 5);  // 100,000 in DER; 8,388,607 takes as many bytes
  int places = 0;
  for (size_t at = text.find(rounds); at != std::string::npos; at = text.find(rounds, at + 1)) {
    std::string changed = text;
    changed.replace(at, rounds.size(), "\x02\x03\x7f\xff\xff", 5);
    const auto refused = read_pfx(as_bytes(changed), password);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("two million iterations")) << at;
    ++places;
  }
  EXPECT_EQ(places, 3) << "the certificates, the key and the MAC";
}

// A key bag may lie encrypted within what is encrypted: it is found there too. And a kind of encryption that
// counts no rounds is none that can be bounded.
TEST(KeyBundle, APfxIsLookedThroughToItsInnermostKey) {
  const KeyMaterial key = *KeyMaterial::generate_ec("P-256");
  const auto pfx_with = [&](int inner_rounds, int times, bool scrypt) {
    const std::unique_ptr<PKCS8_PRIV_KEY_INFO, FreeWith<PKCS8_PRIV_KEY_INFO_free>> info(
        EVP_PKEY2PKCS8(key.handle()));
    STACK_OF(PKCS12_SAFEBAG)* bags = sk_PKCS12_SAFEBAG_new_null();
    for (int i = 0; i < times; ++i) {
      X509_ALGOR* algorithm =
          scrypt ? PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, 0, nullptr, 1024, 8, 1)
                 : PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), inner_rounds, nullptr, 0, nullptr, -1);
      X509_SIG* sealed = PKCS8_set0_pbe("sesame", 6, info.get(), algorithm);
      sk_PKCS12_SAFEBAG_push(bags, PKCS12_SAFEBAG_create0_pkcs8(sealed));
    }
    STACK_OF(PKCS7)* contents = sk_PKCS7_new_null();
    sk_PKCS7_push(contents, PKCS12_pack_p7encdata(NID_aes_256_cbc, "sesame", 6, nullptr, 0, 1000, bags));
    PKCS12* made = PKCS12_add_safes(contents, 0);
    PKCS12_set_mac(made, "sesame", 6, nullptr, 0, 1000, EVP_sha256());
    Bytes out = der_of(made);
    sk_PKCS7_pop_free(contents, PKCS7_free);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return out;
  };
  const auto said_of = [&](const Bytes& pfx) {
    const auto read = read_pfx(pfx, Secret(std::string_view("sesame")));
    return read ? std::string("read") : read.error().message;
  };
  EXPECT_THAT(said_of(pfx_with(1000, 1, false)), HasSubstr("None of the certificates")) << "it opens";
  EXPECT_THAT(said_of(pfx_with(2'000'001, 1, false)), HasSubstr("two million iterations"));
  EXPECT_THAT(said_of(pfx_with(1000, 4, false)), HasSubstr("two million iterations")) << "four keys";
  EXPECT_THAT(said_of(pfx_with(0, 1, true)), HasSubstr("two million iterations"));
}

// Testing a "prime" of a million bits takes days: sizes are looked at first.
TEST(KeyBundle, ARsaKeyWithNumbersOfOtherSizesIsRefusedUntested) {
  const KeyMaterial key = *KeyMaterial::generate_rsa(2048);
  const KeyMaterial other = *KeyMaterial::generate_rsa(2048);
  const Bytes der = certificate_of(key);
  using Number = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
  const auto number = [](const KeyMaterial& of, const char* name) {
    BIGNUM* found = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(of.handle(), name, &found), 1) << name;
    return Number(found);
  };
  static constexpr std::array<const char*, 8> kNames = {
      OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,           OSSL_PKEY_PARAM_RSA_D,
      OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,     OSSL_PKEY_PARAM_RSA_EXPONENT1,
      OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
  const auto with = [&](const std::string& changed, Number instead) {
    const std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
    std::vector<Number> numbers;
    for (const char* name : kNames) {
      numbers.push_back(changed == name ? std::move(instead) : number(key, name));
      EXPECT_EQ(OSSL_PARAM_BLD_push_BN(builder.get(), name, numbers.back().get()), 1);
    }
    const std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>> parameters(
        OSSL_PARAM_BLD_to_param(builder.get()));
    const std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
    EVP_PKEY* made = nullptr;
    EXPECT_EQ(EVP_PKEY_fromdata_init(context.get()), 1);
    EXPECT_EQ(EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_KEYPAIR, parameters.get()), 1);
    return std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>(made);
  };
  const auto longer = [&](const char* name, int by) {
    Number changed = number(key, name);
    BN_set_bit(changed.get(), BN_num_bits(changed.get()) + by);
    return changed;
  };
  const auto sound = [](const auto& made) { return has_sound_numbers(made.get()); };
  EXPECT_TRUE(sound(with("none", nullptr)));
  for (const char* name : kNames) {
    const bool modulus = name == kNames[0];
    EXPECT_FALSE(sound(with(name, longer(name, modulus || name == kNames[1] ? 1100 : 1024)))) << name;
  }
  EXPECT_FALSE(sound(with(OSSL_PKEY_PARAM_RSA_FACTOR1, number(other, OSSL_PKEY_PARAM_RSA_FACTOR1))))
      << "of another key";
  // As it is imported.
  const auto huge = with(OSSL_PKEY_PARAM_RSA_FACTOR1, longer(OSSL_PKEY_PARAM_RSA_FACTOR1, 4000));
  const std::unique_ptr<BIO, FreeWith<BIO_free_all>> text(BIO_new(BIO_s_mem()));
  ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(text.get(), huge.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
  const Bytes pem = take_bytes(text.get());
  const auto refused = read_pem_bundle(Secret(std::string(as_text(pem)) + certificate_pem(der)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("two primes of the same size"));
  const auto own = PrivateKey::from_pem(Secret(as_text(pem)));
  ASSERT_FALSE(own);
  EXPECT_THAT(own.error().message, HasSubstr("two primes of the same size"));
}

}  // namespace
}  // namespace merlon::crypto
