// Keys and certificates: what ssh-keygen has made is read and judged, and no changed byte passes.
#include "ssh/certificate.h"

#include <gtest/gtest.h>

#include "base/time_text.h"
#include "crypto/system_random.h"
#include "ssh/test_certificates.h"
#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

Bytes blob_of(std::string_view line) {
  const size_t space = line.find(' ');
  return *from_base64(line.substr(space + 1, line.find(' ', space + 1) - space - 1));
}

Judge judge_2026() {
  return {.authorities = {*PublicKey::from_line(test::kAuthority)},
          .type = CertificateType::user,
          .now = *from_rfc3339("2026-06-01T00:00:00Z"),
          .source = IpAddress::parse("192.0.2.7")};
}

std::string why(const Result<Certificate>& result) { return result ? "" : result.error().message; }

class FromSshKeygen : public testing::TestWithParam<std::string_view> {};

TEST_P(FromSshKeygen, IsReadAndLetIn) {
  const auto read = judge_certificate(blob_of(GetParam()), judge_2026());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->serial, 7u);
  EXPECT_TRUE(read->key_id.starts_with("id of "));
  EXPECT_EQ(read->principals, (std::vector<std::string>{"ada", "root"}));
  EXPECT_EQ(read->critical_options,
            (Options{{"force-command", "uptime"}, {"source-address", "192.0.2.0/24,2001:db8::/32"}}));
  EXPECT_EQ(read->extensions.size(), 5u);
  EXPECT_EQ(read->extensions[3].first, "permit-pty");
  EXPECT_EQ(Certificate::from_line(GetParam())->key, read->key);
}

TEST_P(FromSshKeygen, WithAnyByteChangedIsRefused) {
  const Bytes blob = blob_of(GetParam());
  for (size_t at = 0; at < blob.size(); ++at) {
    Bytes changed = blob;
    changed[at] ^= 1;
    EXPECT_FALSE(judge_certificate(changed, judge_2026())) << "byte " << at;
  }
}

TEST_P(FromSshKeygen, CutOrLongerIsRefused) {
  Bytes blob = blob_of(GetParam());
  for (size_t size = 0; size < blob.size(); ++size)
    EXPECT_FALSE(Certificate::from_blob(ByteView(blob).first(size))) << size;
  blob.push_back(0);
  EXPECT_FALSE(Certificate::from_blob(blob));
}

INSTANTIATE_TEST_SUITE_P(Kinds, FromSshKeygen, testing::ValuesIn(test::kUserCertificates));

TEST(JudgeCertificate, KeepsTheTime) {
  const Bytes blob = blob_of(test::kUserCertificates[0]);
  Judge judge = judge_2026();
  judge.now = *from_rfc3339("2025-12-31T23:59:59Z");
  EXPECT_NE(why(judge_certificate(blob, judge)).find("not valid yet"), std::string::npos);
  judge.now = *from_rfc3339("2026-01-01T00:00:00Z");
  EXPECT_TRUE(judge_certificate(blob, judge));
  judge.now = *from_rfc3339("2026-12-31T23:59:59Z");
  EXPECT_TRUE(judge_certificate(blob, judge));
  judge.now = *from_rfc3339("2027-01-01T00:00:00Z");
  EXPECT_NE(why(judge_certificate(blob, judge)).find("expired"), std::string::npos);
}

TEST(JudgeCertificate, KeepsTheSource) {
  const Bytes blob = blob_of(test::kUserCertificates[0]);
  Judge judge = judge_2026();
  judge.source = IpAddress::parse("2001:db8::9");
  EXPECT_TRUE(judge_certificate(blob, judge));
  judge.source = IpAddress::parse("192.0.3.7");
  EXPECT_FALSE(judge_certificate(blob, judge));
  judge.source = std::nullopt;
  EXPECT_FALSE(judge_certificate(blob, judge));
}

TEST(JudgeCertificate, WantsOurAuthorityAndTheRightType) {
  Judge judge = judge_2026();
  EXPECT_FALSE(judge_certificate(blob_of(test::kHostCertificate), judge));
  judge.type = CertificateType::host;
  EXPECT_TRUE(judge_certificate(blob_of(test::kHostCertificate), judge));
  EXPECT_FALSE(judge_certificate(blob_of(test::kUserCertificates[0]), judge));
  judge = judge_2026();
  judge.authorities = {};
  EXPECT_FALSE(judge_certificate(blob_of(test::kUserCertificates[0]), judge));
  const Bytes rsa = blob_of(test::kRsaSigned);
  judge.authorities = {Certificate::from_blob(rsa)->authority};
  EXPECT_NE(why(judge_certificate(rsa, judge)).find("Ed25519"), std::string::npos);
}

struct Issued {
  crypto::PrivateKey authority = *crypto::PrivateKey::generate(crypto::KeyKind::ed25519);
  crypto::SystemRandom random;
  CertificateRequest request{.key = *PublicKey::from_line(test::kAuthority),
                             .serial = 9,
                             .type = CertificateType::user,
                             .key_id = "ada",
                             .principals = {"ada"},
                             .valid_after = *from_rfc3339("2026-05-01T00:00:00Z"),
                             .valid_before = *from_rfc3339("2026-07-01T00:00:00Z"),
                             .critical_options = {},
                             .extensions = {{"permit-pty", ""}, {"permit-agent-forwarding", ""}}};
  Result<Certificate> judged() {
    Judge judge = judge_2026();
    judge.authorities = {PublicKey::of(authority.public_key())};
    return judge_certificate(*issue_certificate(request, authority, random), judge);
  }
};

TEST(IssueCertificate, WritesWhatIsReadBack) {
  Issued issued;
  const auto read = issued.judged();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->serial, 9u);
  EXPECT_EQ(read->key, issued.request.key);
  EXPECT_EQ(read->extensions, (Options{{"permit-agent-forwarding", ""}, {"permit-pty", ""}}));
}

TEST(IssueCertificate, AnUnknownCriticalOptionKeepsItOut) {
  Issued issued;
  issued.request.critical_options = {{"verify-required", ""}};
  EXPECT_FALSE(issued.judged());
  issued.request.critical_options = {{"force-command", "id"}};
  EXPECT_TRUE(issued.judged());
}

TEST(IssueCertificate, WantsAPrincipal) {
  Issued issued;
  issued.request.principals = {};
  EXPECT_FALSE(issue_certificate(issued.request, issued.authority, issued.random));
  issued.request.principals = {"a\nb"};
  EXPECT_FALSE(issue_certificate(issued.request, issued.authority, issued.random));
}

TEST(ACertificate, WithoutPrincipalsLetsNobodyIn) {
  // As OpenSSH writes one for everybody: made here by hand, and signed rightly.
  Issued issued;
  const Bytes good = *issue_certificate(issued.request, issued.authority, issued.random);
  const std::string text(as_text(good));
  const std::string with = std::string("\0\0\0\7\0\0\0\3ada", 11);
  const size_t at = text.find(with);
  ASSERT_NE(at, std::string::npos);
  std::string body = text.substr(0, at) + std::string(4, '\0') + text.substr(at + with.size());
  body.resize(body.size() - 4 - 83);
  const Bytes signature = *issued.authority.sign(crypto::SignatureAlgorithm::eddsa, as_bytes(body));
  WireWriter whole;
  whole.raw(as_bytes(body)).string(WireWriter().string("ssh-ed25519").string(signature).take());
  Judge judge = judge_2026();
  judge.authorities = {PublicKey::of(issued.authority.public_key())};
  EXPECT_NE(why(judge_certificate(whole.bytes(), judge)).find("names nobody"), std::string::npos);
}

TEST(SshPublicKey, LinesAreReadStrictly) {
  const std::string line(test::kAuthority);
  const auto key = PublicKey::from_line(line);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->comment(), "ca");
  EXPECT_TRUE(key->fingerprint().starts_with("SHA256:"));
  EXPECT_TRUE(PublicKey::from_line(line + "\n"));
  EXPECT_FALSE(PublicKey::from_line("command=\"x\" " + line));
  EXPECT_FALSE(PublicKey::from_line("ssh-rsa" + line.substr(line.find(' '))));
  EXPECT_FALSE(PublicKey::from_line("ssh-ed25519"));
  EXPECT_FALSE(PublicKey::from_line("ssh-ed25519 AAAA"));
  EXPECT_FALSE(PublicKey::from_line(""));
}

TEST(SshPublicKey, RsaBelow2048BitsIsNone) {
  WireWriter small;
  Bytes modulus(128, 0xff);
  modulus.insert(modulus.begin(), 0);
  small.string("ssh-rsa").string(Bytes{1, 0, 1}).string(modulus);
  EXPECT_FALSE(PublicKey::from_blob(small.bytes()));
}

}  // namespace
}  // namespace merlon::ssh
