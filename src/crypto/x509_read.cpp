// Reading certificates and requests that others wrote, and judging chains. Everything here takes hostile
// input.
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <algorithm>

#include "base/text.h"
#include "crypto/certificate_parts.h"
#include "crypto/digest.h"

namespace merlon::crypto {
namespace {

using StoreHandle = std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>>;
using StoreContextHandle = std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>>;
using GeneralNamesHandle = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;

struct FreeOpenssl {
  void operator()(unsigned char* text) const noexcept { OPENSSL_free(text); }
};

// Security level 2 of SSL_CTX_set_security_level(3): at least 112 bits; no SHA-1, no RSA below 2048.
constexpr int kSecurityLevel = 2;

// The last common name, which is the most specific; nothing when there is none.
Result<std::string> common_name_of(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  int last = -1;
  for (int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); i >= 0;
       i = X509_NAME_get_index_by_NID(subject, NID_commonName, i))
    last = i;
  if (last < 0) return std::string();
  unsigned char* raw = nullptr;
  const int size = ASN1_STRING_to_UTF8(&raw, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
  const std::unique_ptr<unsigned char, FreeOpenssl> text(raw);
  if (size < 0) return bad_certificate("its common name is not text");
  std::string name(reinterpret_cast<const char*>(text.get()), static_cast<size_t>(size));
  // A zero byte ends a C string: readers would disagree about whose certificate this is (CVE-2009-2408).
  if (!is_utf8(name) || name.find('\0') != std::string::npos)
    return bad_certificate("its common name is not well-formed text");
  return name;
}

Result<std::vector<std::string>> dns_names_of(X509* certificate) {
  int criticality = 0;
  const GeneralNamesHandle names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, &criticality, nullptr)));
  // -1: absent. -2: there twice; other values without names: there and unreadable (X509V3_get_d2i(3)).
  if (!names && criticality != -1) return bad_certificate("its subject alternative names cannot be read");
  std::vector<std::string> out;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* text = name->d.dNSName;
    std::string dns_name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                         static_cast<size_t>(ASN1_STRING_length(text)));
    if (dns_name.empty() || std::ranges::any_of(dns_name, [](char c) { return c <= ' ' || c > '~'; }))
      return bad_certificate("one of its DNS names is not printable ASCII");
    out.push_back(std::move(dns_name));
  }
  return out;
}

Result<PublicKey> public_key_of(X509* certificate) {
  KeyHandle key(X509_get_pubkey(certificate));
  if (!key) return bad_certificate("its public key is of a kind that cannot be read");
  return adopt_public_key(std::move(key), "The certificate's public key");
}

// RFC 5280 section 4.2.1.12 makes the extension optional; our own certificates always have it, with one use,
// so that an agent's certificate can not serve as a server's.
bool is_for_use(X509* leaf, LeafUse use) {
  const uint32_t wanted = use == LeafUse::tls_server ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
  return (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) != 0 &&
         X509_get_extended_key_usage(leaf) == wanted;
}

}  // namespace

std::unexpected<Error> bad_certificate(std::string_view why) {
  return fail(
      ErrorKind::invalid, "BadParameter",
      "The certificate cannot be used: " + std::string(why) + ". Give an X.509 certificate in PEM form.");
}

Result<CertificateHandle> certificate_of_pem(std::string_view pem) {
  const BioHandle bio = reader_of(pem, kCertificateBytesMax);
  if (!bio) return bad_certificate("it is longer than 64 KiB");
  CertificateHandle certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  if (!certificate) return bad_certificate("it has no readable CERTIFICATE block");
  return certificate;
}

std::string pem_of_certificate(X509* certificate) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  MERLON_CHECK(bio && PEM_write_bio_X509(bio.get(), certificate) == 1);
  return std::string(as_text(take_bytes(bio.get())));
}

Result<Bytes> der_of_certificate(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return bad_certificate("it cannot be written back as DER");
  Bytes der(static_cast<size_t>(size));
  uint8_t* cursor = der.data();
  if (i2d_X509(certificate, &cursor) != size) return bad_certificate("it cannot be written back as DER");
  return der;
}

const EVP_MD* signing_digest(const PrivateKey& key) {
  switch (key.kind()) {
    case KeyKind::rsa:
    case KeyKind::ec_p256:
      return digest_algorithm(DigestAlgorithm::sha256);
    case KeyKind::ec_p384:
      return digest_algorithm(DigestAlgorithm::sha384);
    case KeyKind::ec_p521:
      return digest_algorithm(DigestAlgorithm::sha512);
    case KeyKind::ed25519:
      break;
  }
  return nullptr;
}

std::optional<Timestamp> timestamp_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const time_t seconds = ::timegm(&parts);
  return Timestamp(std::chrono::seconds(seconds));
}

std::string chain_fault(X509* leaf, X509* authority, LeafUse use, Timestamp now) {
  // Reading the flags first also makes OpenSSL parse and cache the extensions.
  if (X509_check_ca(authority) != 1) return "the issuer is not a certificate authority";
  if (X509_check_ca(leaf) != 0) return "the certificate is an authority's, not a leaf";
  if (!is_for_use(leaf, use)) return "the certificate is for another use";
  const StoreHandle store(X509_STORE_new());
  const StoreContextHandle context(X509_STORE_CTX_new());
  if (!store || !context || X509_STORE_add_cert(store.get(), authority) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), leaf, nullptr) != 1)
    return "there is not enough memory to verify it";
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  X509_VERIFY_PARAM_set_time(parameters, static_cast<time_t>(seconds));
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  X509_VERIFY_PARAM_set_depth(parameters, 0);  // nothing between leaf and authority
  const int purpose = use == LeafUse::tls_server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
  // CHECK_SS_SIGNATURE: the authority's own signature is verified as well, so that a file changed on disk is
  // noticed.
  if (X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE) !=
          1 ||
      X509_VERIFY_PARAM_set_purpose(parameters, purpose) != 1)
    return "the verification cannot be set up";
  if (X509_verify_cert(context.get()) == 1) return {};
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

Result<CertificateFacts> read_certificate(std::string_view pem) {
  const ErrorQueue errors;
  const CertificateHandle certificate = TRY(certificate_of_pem(pem));
  const auto not_before = timestamp_of(X509_get0_notBefore(certificate.get()));
  const auto not_after = timestamp_of(X509_get0_notAfter(certificate.get()));
  if (!not_before || !not_after) return bad_certificate("its validity cannot be read");
  CertificateFacts facts;
  facts.subject_common_name = TRY(common_name_of(certificate.get()));
  facts.not_before = *not_before;
  facts.not_after = *not_after;
  facts.spki_hash_hex = spki_hash_hex(TRY(public_key_of(certificate.get())));
  facts.sha1_thumbprint_hex = to_hex(sha1(TRY(der_of_certificate(certificate.get()))));
  facts.dns_names = TRY(dns_names_of(certificate.get()));
  return facts;
}

Result<PublicKey> certificate_public_key(std::string_view pem) {
  const ErrorQueue errors;
  return public_key_of(TRY(certificate_of_pem(pem)).get());
}

Result<Bytes> certificate_der(std::string_view pem) {
  const ErrorQueue errors;
  return der_of_certificate(TRY(certificate_of_pem(pem)).get());
}

std::string certificate_pem(ByteView der) {
  // RFC 7468 section 2, by hand: PEM_write_bio fails for no bytes at all, and this is given what others sent.
  constexpr size_t kLine = 64;
  const std::string text = to_base64(der);
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  for (size_t i = 0; i < text.size(); i += kLine) pem += text.substr(i, kLine) + "\n";
  return pem + "-----END CERTIFICATE-----\n";
}

bool chains_to(std::string_view leaf_pem, std::string_view authority_pem, LeafUse use, Timestamp now) {
  const ErrorQueue errors;
  const auto leaf = certificate_of_pem(leaf_pem);
  const auto authority = certificate_of_pem(authority_pem);
  return leaf && authority && chain_fault(leaf->get(), authority->get(), use, now).empty();
}

Result<PublicKey> verify_request(std::string_view pem) {
  const ErrorQueue errors;
  const auto refused = [](std::string_view why) {
    return fail(ErrorKind::invalid, "BadParameter",
                "The certificate request cannot be used: " + std::string(why) +
                    ". Give a PKCS#10 request in PEM form, signed with the key that it is for.");
  };
  const BioHandle bio = reader_of(pem, kCertificateBytesMax);
  const RequestHandle request(bio ? PEM_read_bio_X509_REQ(bio.get(), nullptr, no_passphrase, nullptr)
                                  : nullptr);
  if (!request) return refused("it has no readable CERTIFICATE REQUEST block");
  KeyHandle handle(X509_REQ_get_pubkey(request.get()));
  if (!handle) return refused("its public key cannot be read");
  // Judged before its signature is: verifying with a key of hostile size costs what the sender likes.
  PublicKey key = TRY(adopt_public_key(std::move(handle), "The request's public key"));
  if (X509_REQ_verify(request.get(), key.handle()) != 1) return refused("its signature does not verify");
  return key;
}

}  // namespace merlon::crypto
