// Certificates: what we issue holds, and nothing else chains.
#include "crypto/x509.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/certificate_parts.h"
#include "crypto/digest.h"
#include "crypto/system_random.h"

namespace merlon::crypto {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const Timestamp kNow{std::chrono::sys_days(std::chrono::year(2026) / 11 / 22) + hours(12)};

class OnesRandom final : public Random {
 public:
  void fill(std::span<uint8_t> out) override { std::fill(out.begin(), out.end(), uint8_t{0xff}); }
};

class X509Test : public ::testing::Test {
 protected:
  static PrivateKey new_key(KeyKind kind = KeyKind::ec_p256) { return *PrivateKey::generate(kind); }
  AuthorityParameters authority_parameters() const {
    return {.common_name = "Merlon server authority",
            .not_before = kNow - hours(1),
            .not_after = kNow + hours(24 * 365),
            .permitted_dns = {"merlon.localhost"}};
  }
  LeafParameters leaf_parameters() const {
    return {.common_name = "merlon.localhost",
            .dns_names = {"merlon.localhost", "*.vault.merlon.localhost"},
            .addresses = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("::1")},
            .use = LeafUse::tls_server,
            .not_before = kNow - hours(1),
            .not_after = kNow + hours(24)};
  }
  Result<std::string> issue(const LeafParameters& parameters) {
    return issue_leaf(parameters, leaf_key_.public_key(), authority_, authority_key_, random_);
  }

  SystemRandom random_;
  PrivateKey authority_key_ = new_key();
  PrivateKey leaf_key_ = new_key();
  std::string authority_ = *make_authority(authority_parameters(), authority_key_, random_);
};

CertificateHandle parse(const std::string& pem) { return *certificate_of_pem(pem); }

TEST_F(X509Test, ALeafChainsForItsUseInItsTime) {
  const auto leaf = issue(leaf_parameters());
  ASSERT_TRUE(leaf) << leaf.error().message << leaf.error().cause;
  EXPECT_TRUE(chains_to(*leaf, authority_, LeafUse::tls_server, kNow));
  EXPECT_FALSE(chains_to(*leaf, authority_, LeafUse::tls_client, kNow));
  EXPECT_TRUE(chains_to(*leaf, authority_, LeafUse::tls_server, kNow - hours(1)));
  EXPECT_FALSE(chains_to(*leaf, authority_, LeafUse::tls_server, kNow - hours(1) - seconds(1)));
  // RFC 5280 includes the last second; X509_cmp_time(3) counts it as past already, which errs on the safe
  // side.
  EXPECT_TRUE(chains_to(*leaf, authority_, LeafUse::tls_server, kNow + hours(24) - seconds(1)));
  EXPECT_FALSE(chains_to(*leaf, authority_, LeafUse::tls_server, kNow + hours(24)));
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST_F(X509Test, EveryKindOfKeyIssues) {
  for (const KeyKind kind : {KeyKind::rsa, KeyKind::ec_p384, KeyKind::ec_p521, KeyKind::ed25519}) {
    const PrivateKey key = new_key(kind);
    const auto authority = make_authority(authority_parameters(), key, random_);
    ASSERT_TRUE(authority) << authority.error().cause;
    const auto leaf = issue_leaf(leaf_parameters(), key.public_key(), *authority, key, random_);
    ASSERT_TRUE(leaf) << leaf.error().message << leaf.error().cause;
    EXPECT_TRUE(chains_to(*leaf, *authority, LeafUse::tls_server, kNow));
  }
}

TEST_F(X509Test, FactsAreReadBack) {
  const auto leaf = issue(leaf_parameters());
  ASSERT_TRUE(leaf);
  const auto facts = read_certificate(*leaf);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->subject_common_name, "merlon.localhost");
  EXPECT_EQ(facts->not_before, kNow - hours(1));
  EXPECT_EQ(facts->not_after, kNow + hours(24));
  EXPECT_EQ(facts->dns_names, (std::vector<std::string>{"merlon.localhost", "*.vault.merlon.localhost"}));
  EXPECT_EQ(facts->spki_hash_hex, spki_hash_hex(leaf_key_.public_key()));
  EXPECT_EQ(facts->sha1_thumbprint_hex, to_hex(sha1(*certificate_der(*leaf))));
  EXPECT_EQ(certificate_public_key(*leaf)->spki_der(), leaf_key_.public_key().spki_der());
  EXPECT_EQ(certificate_pem(*certificate_der(*leaf)), *leaf);
}

TEST_F(X509Test, TheAuthorityHasRfc5280sExtensions) {
  const CertificateHandle authority = parse(authority_);
  EXPECT_EQ(X509_check_ca(authority.get()), 1);
  EXPECT_EQ(X509_get_pathlen(authority.get()), 0);
  EXPECT_EQ(X509_get_key_usage(authority.get()), static_cast<uint32_t>(KU_KEY_CERT_SIGN | KU_CRL_SIGN));
  EXPECT_NE(X509_get0_subject_key_id(authority.get()), nullptr);
  for (const int nid : {NID_basic_constraints, NID_key_usage, NID_name_constraints}) {
    const int index = X509_get_ext_by_NID(authority.get(), nid, -1);
    ASSERT_GE(index, 0) << OBJ_nid2sn(nid);
    EXPECT_EQ(X509_EXTENSION_get_critical(X509_get_ext(authority.get(), index)), 1) << OBJ_nid2sn(nid);
  }
}

TEST_F(X509Test, TheLeafHasRfc5280sExtensions) {
  const CertificateHandle leaf = parse(*issue(leaf_parameters()));
  const CertificateHandle authority = parse(authority_);
  EXPECT_EQ(X509_check_ca(leaf.get()), 0);
  EXPECT_EQ(X509_get_key_usage(leaf.get()), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_get_extended_key_usage(leaf.get()), static_cast<uint32_t>(XKU_SSL_SERVER));
  EXPECT_EQ(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(leaf.get()),
                                  X509_get0_subject_key_id(authority.get())),
            0);
  EXPECT_EQ(X509_check_host(leaf.get(), "merlon.localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(leaf.get(), "a.vault.merlon.localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(leaf.get(), "a.b.vault.merlon.localhost", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.2", 0), 0);
}

TEST_F(X509Test, SerialsArePositiveAndOf159RandomBits) {
  OnesRandom all_ones;
  const CertificateHandle certificate =
      parse(*make_authority(authority_parameters(), authority_key_, all_ones));
  const BignumHandle serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.get()), nullptr));
  EXPECT_EQ(BN_num_bits(serial.get()), 159);
  EXPECT_EQ(BN_is_negative(serial.get()), 0);
  EXPECT_NE(*issue(leaf_parameters()), *issue(leaf_parameters()));
}

TEST_F(X509Test, NothingIsIssuedOutsideTheNameConstraints) {
  LeafParameters parameters = leaf_parameters();
  for (const char* name : {"evil.example", "xmerlon.localhost", "localhost", "*.localhost"}) {
    parameters.common_name = "x";
    parameters.dns_names = {"merlon.localhost", name};
    EXPECT_FALSE(issue(parameters)) << name;
  }
  parameters.dns_names = {"a.b.MERLON.localhost"};
  EXPECT_TRUE(issue(parameters));
}

TEST_F(X509Test, NameConstraintsBindAForgerWithTheKeyToo) {
  // An authority of the same name and key without constraints issues; the constrained certificate must not
  // vouch.
  AuthorityParameters loose = authority_parameters();
  loose.permitted_dns.clear();
  const auto loose_authority = make_authority(loose, authority_key_, random_);
  LeafParameters parameters = leaf_parameters();
  parameters.common_name = "x";
  parameters.dns_names = {"evil.example"};
  const auto leaf = issue_leaf(parameters, leaf_key_.public_key(), *loose_authority, authority_key_, random_);
  ASSERT_TRUE(leaf) << leaf.error().message;
  EXPECT_TRUE(chains_to(*leaf, *loose_authority, LeafUse::tls_server, kNow));
  EXPECT_FALSE(chains_to(*leaf, authority_, LeafUse::tls_server, kNow));
}

TEST_F(X509Test, AnotherAuthorityOfTheSameNameDoesNotVouch) {
  const PrivateKey other_key = new_key();
  const auto other = make_authority(authority_parameters(), other_key, random_);
  const auto leaf = issue(leaf_parameters());
  EXPECT_FALSE(chains_to(*leaf, *other, LeafUse::tls_server, kNow));
  EXPECT_FALSE(issue_leaf(leaf_parameters(), leaf_key_.public_key(), authority_, other_key, random_));
}

TEST_F(X509Test, ALeafIsNoAuthorityAndAnAuthorityNoLeaf) {
  const auto leaf = issue(leaf_parameters());
  EXPECT_FALSE(issue_leaf(leaf_parameters(), new_key().public_key(), *leaf, leaf_key_, random_));
  EXPECT_FALSE(chains_to(*leaf, *leaf, LeafUse::tls_server, kNow));
  EXPECT_FALSE(chains_to(authority_, authority_, LeafUse::tls_server, kNow));
}

TEST_F(X509Test, SelfSignedCertificatesChainToNothing) {
  const auto own = make_self_signed(leaf_parameters(), leaf_key_, random_);
  ASSERT_TRUE(own);
  EXPECT_EQ(read_certificate(*own)->spki_hash_hex, spki_hash_hex(leaf_key_.public_key()));
  EXPECT_FALSE(chains_to(*own, authority_, LeafUse::tls_server, kNow));
  EXPECT_FALSE(chains_to(*own, *own, LeafUse::tls_server, kNow));
}

TEST_F(X509Test, AChangedByteBreaksTheChain) {
  const Bytes der = *certificate_der(*issue(leaf_parameters()));
  for (size_t i = 0; i < der.size(); i += 7) {
    Bytes changed = der;
    changed[i] ^= 0x04;
    EXPECT_FALSE(chains_to(certificate_pem(changed), authority_, LeafUse::tls_server, kNow)) << i;
    static_cast<void>(read_certificate(certificate_pem(changed)));
  }
}

TEST_F(X509Test, AnExpiredAuthorityVouchesForNobody) {
  AuthorityParameters brief = authority_parameters();
  brief.not_after = kNow + hours(48);
  const auto authority = make_authority(brief, authority_key_, random_);
  LeafParameters parameters = leaf_parameters();
  parameters.not_after = kNow + hours(49);
  const auto refused = issue_leaf(parameters, leaf_key_.public_key(), *authority, authority_key_, random_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("outlive"), std::string::npos);
  // Issued under a longer-lived certificate of the same key, it still ends with this one.
  const auto leaf = issue(parameters);
  EXPECT_TRUE(chains_to(*leaf, *authority, LeafUse::tls_server, kNow + hours(47)));
  EXPECT_FALSE(chains_to(*leaf, *authority, LeafUse::tls_server, kNow + hours(48) + seconds(1)));
}

TEST_F(X509Test, RefusesBadParameters) {
  LeafParameters parameters = leaf_parameters();
  for (const char* name : {"", ".", "a..b", "-a.b", "a b", "a,DNS:evil", "*", "*.com", "a.*.b", "127.0.0.1",
                           "ü.example", "merlon.localhost."}) {
    parameters.dns_names = {name};
    EXPECT_FALSE(issue(parameters)) << name;
  }
  parameters = leaf_parameters();
  parameters.common_name = std::string(65, 'a');
  EXPECT_FALSE(issue(parameters));
  parameters.common_name = "a\nb";
  EXPECT_FALSE(issue(parameters));
  parameters = leaf_parameters();
  parameters.not_after = parameters.not_before;
  EXPECT_FALSE(issue(parameters));
  parameters = leaf_parameters();
  parameters.common_name = "";
  EXPECT_TRUE(issue(parameters));
  parameters.dns_names.clear();
  parameters.addresses.clear();
  EXPECT_FALSE(issue(parameters));
  AuthorityParameters authority = authority_parameters();
  authority.common_name = "";
  EXPECT_FALSE(make_authority(authority, authority_key_, random_));
  authority = authority_parameters();
  authority.permitted_dns = {"*.example"};
  EXPECT_FALSE(make_authority(authority, authority_key_, random_));
}

TEST_F(X509Test, DatesBeyond2049AreWritten) {
  AuthorityParameters far = authority_parameters();
  far.not_after = kNow + hours(24 * 365 * 40);
  const auto authority = make_authority(far, authority_key_, random_);
  ASSERT_TRUE(authority);
  EXPECT_EQ(read_certificate(*authority)->not_after, far.not_after);
}

TEST_F(X509Test, RequestsProveTheirKey) {
  const auto request = make_request(leaf_key_, "machine-1");
  ASSERT_TRUE(request) << request.error().cause;
  const auto key = verify_request(*request);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->spki_der(), leaf_key_.public_key().spki_der());
  std::string changed = *request;
  const size_t middle = changed.size() / 2;
  changed[middle] = changed[middle] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(verify_request(changed));
  EXPECT_FALSE(verify_request(""));
  EXPECT_FALSE(verify_request(authority_));
}

TEST_F(X509Test, RefusesWhatIsNoCertificate) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(70'000, 'a'), *make_request(leaf_key_, "a"),
        std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}) {
    EXPECT_FALSE(read_certificate(text));
    EXPECT_FALSE(certificate_der(text));
    EXPECT_FALSE(certificate_public_key(text));
    EXPECT_FALSE(chains_to(text, authority_, LeafUse::tls_server, kNow));
    EXPECT_FALSE(chains_to(authority_, text, LeafUse::tls_server, kNow));
  }
  for (const size_t size : {0UL, 1UL, 48UL, 100'000UL})
    EXPECT_FALSE(read_certificate(certificate_pem(Bytes(size))));
  EXPECT_EQ(ERR_peek_error(), 0U);
}

}  // namespace
}  // namespace merlon::crypto
