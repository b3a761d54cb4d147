// Customers' certificates, read back by ourselves and by the openssl command.
#include "crypto/customer_certificate.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "crypto/key_bundle.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"

namespace merlon::crypto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

const CertificateTimes kTimes{Timestamp(std::chrono::seconds(1'790'000'000)),
                              Timestamp(std::chrono::seconds(1'820'000'000))};

CertificateProfile web() {
  CertificateProfile profile;
  profile.subject = "CN=www.example.org, OU=Research\\, Tests + L=Köln, O=\"Example, Inc.\", C=DE";
  profile.dns_names = {"www.example.org", "*.example.org"};
  profile.emails = {"ada@example.org"};
  profile.upns = {"ada@corp.example.org"};
  profile.uris = {"spiffe://example.org/web"};
  profile.addresses = {"192.0.2.7", "2001:db8::7"};
  profile.extended_usages = {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"};
  profile.usages = {"digitalSignature", "keyEncipherment"};
  return profile;
}

class CustomerCertificate : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "merlon-certificate-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string file(const std::string& name, ByteView bytes) const {
    const std::string path = (directory_ / name).string();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  // What the openssl command says of it; a failure is told in the text.
  std::string openssl(std::vector<std::string> words) const {
    const std::string out = (directory_ / "out").string();
    words.insert(words.begin(), "openssl");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    pid_t child = -1;
    int status = -1;
    if (::posix_spawnp(&child, "openssl", &actions, nullptr, argv.data(), environ) == 0)
      ::waitpid(child, &status, 0);
    posix_spawn_file_actions_destroy(&actions);
    std::ifstream stream(out);
    std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    return (status == 0 ? "" : "FAILED: ") + text;
  }

  fs::path directory_;
  SystemRandom random_;
};

TEST_F(CustomerCertificate, SaysWhatItsProfileSays) {
  const auto key = KeyMaterial::generate_ec("P-384");
  const auto der = self_sign(web(), kTimes, *key, random_);
  ASSERT_TRUE(der) << der.error().message << der.error().cause;
  const auto reading = read_customer_certificate(*der);
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->profile.subject,
            R"(CN=www.example.org, OU=Research\, Tests + L=Köln, O=Example\, Inc., C=DE)");
  EXPECT_EQ(reading->issuer, reading->profile.subject);
  EXPECT_THAT(reading->profile.dns_names, ElementsAre("www.example.org", "*.example.org"));
  EXPECT_THAT(reading->profile.emails, ElementsAre("ada@example.org"));
  EXPECT_THAT(reading->profile.upns, ElementsAre("ada@corp.example.org"));
  EXPECT_THAT(reading->profile.uris, ElementsAre("spiffe://example.org/web"));
  EXPECT_THAT(reading->profile.addresses, ElementsAre("192.0.2.7", "2001:db8::7"));
  EXPECT_THAT(reading->profile.extended_usages, ElementsAre("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"));
  EXPECT_THAT(reading->profile.usages, ElementsAre("digitalSignature", "keyEncipherment"));
  EXPECT_EQ(reading->not_after, kTimes.not_after);
  EXPECT_TRUE(*certificate_is_for(*der, *key));
  EXPECT_FALSE(*certificate_is_for(*der, *KeyMaterial::generate_ec("P-384")));
  const std::string said = openssl({"x509", "-inform", "DER", "-in", file("c.der", *der), "-noout", "-text",
                                    "-nameopt", "utf8,sep_comma_plus"});
  EXPECT_THAT(said, HasSubstr("ecdsa-with-SHA384"));
  EXPECT_THAT(said, HasSubstr("DNS:www.example.org, DNS:*.example.org, email:ada@example.org"));
  EXPECT_THAT(said, HasSubstr("TLS Web Server Authentication, TLS Web Client Authentication"));
  EXPECT_THAT(said, HasSubstr("CA:FALSE"));
}

TEST_F(CustomerCertificate, ARequestVerifiesAndAsksForTheSame) {
  const auto key = KeyMaterial::generate_rsa(2048);
  const auto der = make_certificate_request(web(), *key);
  ASSERT_TRUE(der) << der.error().message << der.error().cause;
  const std::string said =
      openssl({"req", "-inform", "DER", "-in", file("r.der", *der), "-noout", "-text", "-verify"});
  EXPECT_THAT(said, HasSubstr("verify OK"));
  EXPECT_THAT(said, HasSubstr("DNS:www.example.org"));
  EXPECT_THAT(said, HasSubstr("Digital Signature, Key Encipherment"));
}

TEST_F(CustomerCertificate, AnAuthorityIssuesWhatOthersVerify) {
  CertificateProfile authority;
  authority.subject = "CN=Example Issuing CA";
  authority.usages = {"keyCertSign", "cRLSign"};
  authority.authority = true;
  const auto authority_key = KeyMaterial::generate_ec("P-256");
  const auto authority_der = self_sign(authority, kTimes, *authority_key, random_);
  ASSERT_TRUE(authority_der);
  const auto key = KeyMaterial::generate_rsa(2048);
  CertificateTimes longer = kTimes;
  longer.not_after += std::chrono::hours(24 * 365);
  const auto der = issue_certificate(web(), longer, *key, {*authority_der, *authority_key}, random_);
  ASSERT_TRUE(der) << der.error().message << der.error().cause;
  EXPECT_EQ(read_customer_certificate(*der)->not_after, kTimes.not_after) << "it outlives its authority";
  EXPECT_EQ(read_customer_certificate(*der)->issuer, "CN=Example Issuing CA");
  EXPECT_THAT(openssl({"verify", "-no_check_time", "-x509_strict", "-CAfile",
                       file("ca.pem", as_bytes(certificate_pem(*authority_der))),
                       file("leaf.pem", as_bytes(certificate_pem(*der)))}),
              HasSubstr("leaf.pem: OK"));
  EXPECT_FALSE(issue_certificate(web(), kTimes, *key, {*der, *key}, random_)) << "a leaf has issued";
}

TEST_F(CustomerCertificate, WrongProfilesAreRefusedByName) {
  const auto wrong = [](auto change) {
    CertificateProfile profile = web();
    change(profile);
    const auto refused = check_profile(profile);
    return refused ? std::string() : refused.error().code + ": " + refused.error().message;
  };
  EXPECT_EQ(wrong([](auto&) {}), "");
  for (const char* subject : {"", "www.example.org", "CN=", "CN=a, XX=b", "CN=\"a", "CN=a\\", "CN=a<b",
                              "C=Germany", "CN=a\nO=b", "CN=a, ", "CN=\xff"})
    EXPECT_THAT(wrong([&](auto& profile) { profile.subject = subject; }), HasSubstr("BadParameter"))
        << subject;
  for (const char* name : {"", "a b", "a,DNS:b", "1.2.3.4", "*", "*.org", "a..b"})
    EXPECT_THAT(wrong([&](auto& profile) { profile.dns_names = {name}; }), HasSubstr("dns_names")) << name;
  for (const char* email : {"", "a", "@b", "a@", "a@b@c", "a b@c"}) {
    EXPECT_THAT(wrong([&](auto& profile) { profile.emails = {email}; }), HasSubstr("emails")) << email;
    EXPECT_THAT(wrong([&](auto& profile) { profile.upns = {email}; }), HasSubstr("upns")) << email;
  }
  for (const char* uri : {"", "www.example.org", "http:", ":a", "1http://a", "http://a b", "http://\xc3\xa9"})
    EXPECT_THAT(wrong([&](auto& profile) { profile.uris = {uri}; }), HasSubstr("uris")) << uri;
  for (const char* address : {"", "1.2.3", "1.2.3.4/24", "::g", "www.example.org"})
    EXPECT_THAT(wrong([&](auto& profile) { profile.addresses = {address}; }), HasSubstr("ipAddresses"))
        << address;
  for (const char* oid : {"", "serverAuth", "1", "9.9.9", "1.2.3.", ".1.2", "1.2.3 "})
    EXPECT_THAT(wrong([&](auto& profile) { profile.extended_usages = {oid}; }), HasSubstr("ekus")) << oid;
  EXPECT_THAT(wrong([](auto& profile) { profile.usages = {"signing"}; }), HasSubstr("key_usage"));
  EXPECT_THAT(wrong([](auto& profile) { profile.dns_names.assign(101, "a.example"); }),
              HasSubstr("at most 100"));
}

TEST_F(CustomerCertificate, PfxAndPemGoThereAndBack) {
  for (const bool rsa : {true, false}) {
    const auto key = rsa ? KeyMaterial::generate_rsa(2048) : KeyMaterial::generate_ec("P-521");
    const auto der = self_sign(web(), kTimes, *key, random_);
    const auto other = self_sign(web(), kTimes, *KeyMaterial::generate_ec("P-256"), random_);
    const KeyBundle bundle{*key, {*der, *other}};
    const auto pfx = write_pfx(bundle);
    ASSERT_TRUE(pfx) << pfx.error().cause;
    const auto back = read_pfx(pfx->expose(), Secret());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->certificates_der, bundle.certificates_der);
    EXPECT_EQ(back->key.public_jwk(), key->public_jwk());
    EXPECT_THAT(openssl({"pkcs12", "-in", file("b.pfx", pfx->expose()), "-passin", "pass:", "-nodes"}),
                HasSubstr("BEGIN PRIVATE KEY"));
    const auto from_pem = read_pem_bundle(write_pem_bundle(bundle));
    ASSERT_TRUE(from_pem) << from_pem.error().message;
    EXPECT_EQ(from_pem->certificates_der, bundle.certificates_der);
    EXPECT_EQ(from_pem->key.public_jwk(), key->public_jwk());
  }
}

TEST_F(CustomerCertificate, AForeignPfxOpensWithItsPasswordAlone) {
  openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=foreign", "-keyout",
           (directory_ / "k.pem").string(), "-out", (directory_ / "k.crt").string()});
  openssl({"pkcs12", "-export", "-inkey", (directory_ / "k.pem").string(), "-in",
           (directory_ / "k.crt").string(), "-passout", "pass:sesame", "-out",
           (directory_ / "k.pfx").string()});
  std::ifstream stream(directory_ / "k.pfx", std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const auto bundle = read_pfx(as_bytes(text), Secret(std::string_view("sesame")));
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(read_customer_certificate(bundle->certificates_der.front())->profile.subject, "CN=foreign");
  const auto wrong = read_pfx(as_bytes(text), Secret(std::string_view("simsim")));
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("password is wrong"));
  for (const size_t size : {size_t{0}, size_t{10}, text.size() / 2, text.size() - 1})
    EXPECT_FALSE(read_pfx(as_bytes(text.substr(0, size)), Secret(std::string_view("sesame")))) << size;
}

TEST_F(CustomerCertificate, BundlesThatDoNotFitAreRefused) {
  const auto key = KeyMaterial::generate_ec("P-256");
  const auto other = self_sign(web(), kTimes, *KeyMaterial::generate_ec("P-256"), random_);
  const auto refused = read_pem_bundle(write_pem_bundle({*key, {*other}}));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("None of the certificates"));
  EXPECT_FALSE(read_pem_bundle(write_pem_bundle({*key, {}})));
  EXPECT_FALSE(read_pem_bundle(Secret(std::string_view(certificate_pem(*other)))));
  EXPECT_FALSE(read_pem_bundle(Secret()));
  openssl({"genrsa", "-out", (directory_ / "small.pem").string(), "1024"});
  std::ifstream stream(directory_ / "small.pem");
  const std::string small((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const auto weak = read_pem_bundle(Secret(std::string_view(small + certificate_pem(*other))));
  ASSERT_FALSE(weak);
  EXPECT_THAT(weak.error().message, HasSubstr("1024 bits"));
  EXPECT_FALSE(read_pem_certificates("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
}

// A key file says its public half twice over: by the secret one, and in clear. Where they differ, the
// certificate would be somebody else's.
TEST_F(CustomerCertificate, AKeyWithTheWrongPublicHalfIsRefused) {
  const auto own = KeyMaterial::generate_ec("P-256");
  const auto other = KeyMaterial::generate_ec("P-256");
  const auto point = [](const KeyMaterial& key) {
    Bytes bytes = *from_base64url(*string_at(key.public_jwk(), "x"));
    const Bytes y = *from_base64url(*string_at(key.public_jwk(), "y"));
    bytes.insert(bytes.end(), y.begin(), y.end());
    return bytes;
  };
  const auto pem_of = [](ByteView pkcs8) {
    return "-----BEGIN PRIVATE KEY-----\n" + to_base64(pkcs8) + "\n-----END PRIVATE KEY-----\n";
  };
  const Secret stored = own->store();
  Bytes der(stored.expose().begin() + 1, stored.expose().end());  // behind the mark: PKCS #8
  const auto own_der = self_sign(web(), kTimes, *own, random_);
  ASSERT_TRUE(read_pem_bundle(Secret(std::string_view(pem_of(der) + certificate_pem(*own_der)))));
  const Bytes ours = point(*own);
  const auto at = std::search(der.begin(), der.end(), ours.begin(), ours.end());
  ASSERT_NE(at, der.end());
  const Bytes theirs = point(*other);
  std::copy(theirs.begin(), theirs.end(), at);
  const auto other_der = self_sign(web(), kTimes, *other, random_);
  EXPECT_FALSE(read_pem_bundle(Secret(std::string_view(pem_of(der) + certificate_pem(*other_der)))));
}

}  // namespace
}  // namespace merlon::crypto
