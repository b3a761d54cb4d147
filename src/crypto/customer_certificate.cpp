// One set of extensions for requests and certificates. A request carries them as its extensionRequest
// attribute (RFC 2985 section 5.4.2), for the authority that answers it.
#include "crypto/customer_certificate.h"

#include <algorithm>
#include <array>

#include "base/ip.h"
#include "base/text.h"
#include "crypto/certificate_extensions.h"
#include "crypto/digest.h"
#include "crypto/distinguished_name.h"

namespace merlon::crypto {
namespace {

constexpr size_t kNamesMax = 100;
constexpr size_t kUsagesMax = 50;
constexpr size_t kNameBytesMax = 255;
constexpr const char* kUpnOid = "1.3.6.1.4.1.311.20.2.3";  // Microsoft's user principal name, an otherName

using ObjectHandle = std::unique_ptr<ASN1_OBJECT, FreeWith<ASN1_OBJECT_free>>;

struct FreeExtensions {
  void operator()(STACK_OF(X509_EXTENSION) * all) const noexcept {
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
  }
};
using ExtensionsHandle = std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions>;

// In the order of their bits.
constexpr std::array<std::string_view, 9> kUsages{"digitalSignature", "nonRepudiation", "keyEncipherment",
                                                  "dataEncipherment", "keyAgreement",   "keyCertSign",
                                                  "cRLSign",          "encipherOnly",   "decipherOnly"};

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

bool is_printable_ascii(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// RFC 3986 section 3: a scheme, and something after it; in ASCII, as RFC 5280 section 4.2.1.6 has it.
bool is_uri(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size() || !letter(text.front()) ||
      !is_printable_ascii(text))
    return false;
  return std::ranges::all_of(text.substr(0, colon), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

Bytes octets_of(const IpAddress& address) {
  const auto& bytes = address.bytes();
  return {bytes.begin(), bytes.begin() + (address.is_v4() ? 4 : 16)};
}

std::optional<IpAddress> address_of(ByteView octets) {
  if (octets.size() == 4)
    return IpAddress::from_v4(uint32_t{octets[0]} << 24 | uint32_t{octets[1]} << 16 |
                              uint32_t{octets[2]} << 8 | uint32_t{octets[3]});
  if (octets.size() != 16) return std::nullopt;
  std::array<uint8_t, 16> bytes{};
  std::ranges::copy(octets, bytes.begin());
  return IpAddress::from_v6(bytes);
}

bool is_email(std::string_view text) {
  const size_t at = text.find('@');
  return is_printable_ascii(text) && at != 0 && at != std::string_view::npos && at + 1 < text.size() &&
         text.find('@', at + 1) == std::string_view::npos;
}

// "1.3.6.1.5.5.7.3.1": never a name, which OpenSSL would look up in a table.
ObjectHandle object_of(const std::string& oid) {
  if (oid.empty() || oid.size() > 128 || oid.front() == '.' || oid.back() == '.' ||
      oid.find('.') == std::string::npos ||
      !std::ranges::all_of(oid, [](char c) { return c == '.' || (c >= '0' && c <= '9'); }))
    return nullptr;
  return ObjectHandle(OBJ_txt2obj(oid.c_str(), 1));
}

bool push_extension(STACK_OF(X509_EXTENSION) * all, int nid, void* value, Criticality criticality) {
  return X509V3_add1_i2d(&all, nid, value, static_cast<int>(criticality), X509V3_ADD_DEFAULT) == 1;
}

bool push_basic_constraints(STACK_OF(X509_EXTENSION) * all, bool authority) {
  const BasicConstraintsHandle constraints = basic_constraints_of(authority);
  return constraints && push_extension(all, NID_basic_constraints, constraints.get(), Criticality::yes);
}

bool push_usages(STACK_OF(X509_EXTENSION) * all, const CertificateProfile& profile) {
  if (!profile.usages.empty()) {
    std::vector<int> bits;
    for (const std::string& usage : profile.usages)
      bits.push_back(static_cast<int>(std::ranges::find(kUsages, usage) - kUsages.begin()));
    const BitStringHandle value = key_usage_of(bits);
    if (!value || !push_extension(all, NID_key_usage, value.get(), Criticality::yes)) return false;
  }
  if (profile.extended_usages.empty()) return true;
  const ExtendedUsageHandle usages(sk_ASN1_OBJECT_new_null());
  for (const std::string& oid : profile.extended_usages) {
    ObjectHandle object = object_of(oid);
    if (!usages || !object || sk_ASN1_OBJECT_push(usages.get(), object.get()) <= 0) return false;
    static_cast<void>(object.release());
  }
  return push_extension(all, NID_ext_key_usage, usages.get(), Criticality::no);
}

GeneralNameHandle upn_name(const std::string& upn) {
  GeneralNameHandle name(GENERAL_NAME_new());
  ObjectHandle object(OBJ_txt2obj(kUpnOid, 1));
  ASN1_TYPE* value = ASN1_TYPE_new();
  ASN1_UTF8STRING* text = ASN1_UTF8STRING_new();
  if (!name || !object || value == nullptr || text == nullptr ||
      ASN1_STRING_set(text, upn.data(), static_cast<int>(upn.size())) != 1) {
    ASN1_TYPE_free(value);
    ASN1_UTF8STRING_free(text);
    return nullptr;
  }
  ASN1_TYPE_set(value, V_ASN1_UTF8STRING, text);
  if (GENERAL_NAME_set0_othername(name.get(), object.get(), value) != 1) {
    ASN1_TYPE_free(value);
    return nullptr;
  }
  static_cast<void>(object.release());
  return name;
}

size_t names_in(const CertificateProfile& profile) {
  return profile.dns_names.size() + profile.emails.size() + profile.upns.size() + profile.uris.size() +
         profile.addresses.size();
}

bool push_alternative_names(STACK_OF(X509_EXTENSION) * all, const CertificateProfile& profile) {
  if (names_in(profile) == 0) return true;
  const GeneralNamesHandle names(sk_GENERAL_NAME_new_null());
  if (!names) return false;
  for (const std::string& dns_name : profile.dns_names)
    if (!push_name(names.get(), general_name(GEN_DNS, V_ASN1_IA5STRING, as_bytes(dns_name)))) return false;
  for (const std::string& email : profile.emails)
    if (!push_name(names.get(), general_name(GEN_EMAIL, V_ASN1_IA5STRING, as_bytes(email)))) return false;
  for (const std::string& upn : profile.upns)
    if (!push_name(names.get(), upn_name(upn))) return false;
  for (const std::string& uri : profile.uris)
    if (!push_name(names.get(), general_name(GEN_URI, V_ASN1_IA5STRING, as_bytes(uri)))) return false;
  for (const std::string& text : profile.addresses) {
    const auto address = IpAddress::parse(text);
    if (!address ||
        !push_name(names.get(), general_name(GEN_IPADD, V_ASN1_OCTET_STRING, octets_of(*address))))
      return false;
  }
  return push_extension(all, NID_subject_alt_name, names.get(), Criticality::no);
}

Result<ExtensionsHandle> extensions_of(const CertificateProfile& profile, const ErrorQueue& errors) {
  ExtensionsHandle all(sk_X509_EXTENSION_new_null());
  if (!all || !push_basic_constraints(all.get(), profile.authority) || !push_usages(all.get(), profile) ||
      !push_alternative_names(all.get(), profile))
    return errors.failure("cannot build the extensions of a certificate");
  return all;
}

Result<CertificateHandle> unsigned_certificate(const CertificateProfile& profile,
                                               const CertificateTimes& times, const KeyMaterial& subject,
                                               Random& random, const ErrorQueue& errors) {
  TRY(check_profile(profile));
  const NameHandle name = TRY(parse_distinguished_name(profile.subject));
  const ExtensionsHandle extensions = TRY(extensions_of(profile, errors));
  CertificateHandle certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_serial(certificate.get(), random) || X509_set_subject_name(certificate.get(), name.get()) != 1 ||
      X509_set_issuer_name(certificate.get(), name.get()) != 1 ||
      !set_times(certificate.get(), times.not_before, times.not_after) ||
      X509_set_pubkey(certificate.get(), subject.handle()) != 1)
    return errors.failure("cannot build a certificate");
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions.get()); ++i)
    if (X509_add_ext(certificate.get(), sk_X509_EXTENSION_value(extensions.get(), i), -1) != 1)
      return errors.failure("cannot build a certificate");
  if (!add_subject_key_id(certificate.get())) return errors.failure("cannot build a certificate");
  return certificate;
}

Result<Bytes> signed_der(X509* certificate, const KeyMaterial& key, const ErrorQueue& errors) {
  if (X509_sign(certificate, key.handle(), certificate_digest_for(key)) <= 0)
    return errors.failure("cannot sign a certificate");
  return der_of_certificate(certificate);
}

std::string text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<size_t>(ASN1_STRING_length(string))};
}

void read_name(const GENERAL_NAME* name, CertificateProfile& profile) {
  if (name->type == GEN_DNS) profile.dns_names.push_back(text_of(name->d.dNSName));
  if (name->type == GEN_EMAIL) profile.emails.push_back(text_of(name->d.rfc822Name));
  if (name->type == GEN_URI) profile.uris.push_back(text_of(name->d.uniformResourceIdentifier));
  if (name->type == GEN_IPADD)
    if (const auto address = address_of(as_bytes(text_of(name->d.iPAddress))))
      profile.addresses.push_back(address->text());
  if (name->type != GEN_OTHERNAME || name->d.otherName->value->type != V_ASN1_UTF8STRING) return;
  std::array<char, 64> oid{};
  OBJ_obj2txt(oid.data(), static_cast<int>(oid.size()), name->d.otherName->type_id, 1);
  if (std::string_view(oid.data()) == kUpnOid)
    profile.upns.push_back(text_of(name->d.otherName->value->value.utf8string));
}

Bytes serial_of(const X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  return {ASN1_STRING_get0_data(serial), ASN1_STRING_get0_data(serial) + ASN1_STRING_length(serial)};
}

// What OpenSSL can not read of an extension is left out: the certificate is a customer's, and stays as it is.
void read_extensions(X509* certificate, CertificateProfile& profile) {
  const GeneralNamesHandle names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i)
    read_name(sk_GENERAL_NAME_value(names.get(), i), profile);
  const ExtendedUsageHandle usages(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  for (int i = 0; usages && i < sk_ASN1_OBJECT_num(usages.get()); ++i) {
    std::array<char, 128> oid{};
    OBJ_obj2txt(oid.data(), static_cast<int>(oid.size()), sk_ASN1_OBJECT_value(usages.get(), i), 1);
    profile.extended_usages.emplace_back(oid.data());
  }
  const BitStringHandle bits(
      static_cast<ASN1_BIT_STRING*>(X509_get_ext_d2i(certificate, NID_key_usage, nullptr, nullptr)));
  for (size_t bit = 0; bits && bit < kUsages.size(); ++bit)
    if (ASN1_BIT_STRING_get_bit(bits.get(), static_cast<int>(bit)) == 1)
      profile.usages.emplace_back(kUsages[bit]);
  profile.authority = X509_check_ca(certificate) == 1;
}

}  // namespace

const EVP_MD* certificate_digest_for(const KeyMaterial& key) {
  const std::string curve = key.curve();
  if (curve == "P-384") return digest_algorithm(DigestAlgorithm::sha384);
  if (curve == "P-521") return digest_algorithm(DigestAlgorithm::sha512);
  return digest_algorithm(DigestAlgorithm::sha256);
}

Result<CertificateHandle> certificate_of_der(ByteView der) {
  const uint8_t* cursor = der.data();
  if (der.empty() || der.size() > kCertificateBytesMax)
    return bad("The certificate is empty or longer than 64 KiB.");
  CertificateHandle certificate(d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
  if (!certificate || cursor != der.data() + der.size())
    return bad("The certificate is not well-formed DER.");
  return certificate;
}

Result<void> check_profile(const CertificateProfile& profile) {
  const ErrorQueue errors;
  TRY(parse_distinguished_name(profile.subject));
  if (names_in(profile) > kNamesMax || profile.extended_usages.size() > kUsagesMax)
    return bad("A certificate has at most 100 subject alternative names and 50 extended key usages.");
  for (const std::string& name : profile.dns_names)
    if (!is_dns_name(name, true))
      return bad("'" + name.substr(0, 64) + "' in sans.dns_names is not a DNS name.");
  for (const std::string& email : profile.emails)
    if (!is_email(email))
      return bad("'" + email.substr(0, 64) + "' in sans.emails is not an e-mail address.");
  for (const std::string& upn : profile.upns)
    if (!is_email(upn)) return bad("'" + upn.substr(0, 64) + "' in sans.upns is not a user principal name.");
  for (const std::string& uri : profile.uris)
    if (!is_uri(uri)) return bad("'" + uri.substr(0, 64) + "' in sans.uris is not a URI with a scheme.");
  for (const std::string& address : profile.addresses)
    if (!IpAddress::parse(address))
      return bad("'" + address.substr(0, 64) + "' in sans.ipAddresses is not an IPv4 or IPv6 address.");
  for (const std::string& oid : profile.extended_usages)
    if (!object_of(oid))
      return bad("'" + oid.substr(0, 64) + "' in ekus is not an object identifier, as '1.2.3'.");
  for (const std::string& usage : profile.usages)
    if (std::ranges::find(kUsages, usage) == kUsages.end())
      return bad("'" + usage.substr(0, 64) + "' in key_usage is not known. Known are " +
                 join({kUsages.begin(), kUsages.end()}, ", ") + ".");
  return {};
}

Result<Bytes> make_certificate_request(const CertificateProfile& profile, const KeyMaterial& key) {
  const ErrorQueue errors;
  TRY(check_profile(profile));
  const NameHandle name = TRY(parse_distinguished_name(profile.subject));
  const ExtensionsHandle extensions = TRY(extensions_of(profile, errors));
  const RequestHandle request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name(request.get(), name.get()) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.handle()) != 1 ||
      X509_REQ_add_extensions(request.get(), extensions.get()) != 1 ||
      X509_REQ_sign(request.get(), key.handle(), certificate_digest_for(key)) <= 0)
    return errors.failure("cannot make a certificate request");
  const int size = i2d_X509_REQ(request.get(), nullptr);
  if (size <= 0) return errors.failure("cannot write a certificate request");
  Bytes der(static_cast<size_t>(size));
  uint8_t* cursor = der.data();
  i2d_X509_REQ(request.get(), &cursor);
  return der;
}

Result<Bytes> self_sign(const CertificateProfile& profile, const CertificateTimes& times,
                        const KeyMaterial& key, Random& random) {
  const ErrorQueue errors;
  const CertificateHandle certificate = TRY(unsigned_certificate(profile, times, key, random, errors));
  if (!add_authority_key_id(certificate.get(), certificate.get()))
    return errors.failure("cannot build a certificate");
  return signed_der(certificate.get(), key, errors);
}

Result<Bytes> issue_certificate(const CertificateProfile& profile, const CertificateTimes& times,
                                const KeyMaterial& subject, const CertificateIssuer& issuer, Random& random) {
  const ErrorQueue errors;
  const CertificateHandle authority = TRY(certificate_of_der(issuer.certificate_der));
  if (X509_check_private_key(authority.get(), issuer.key.handle()) != 1 ||
      X509_check_ca(authority.get()) != 1)
    return internal_error("issue_certificate was given what is no authority, or another's key");
  const auto end = timestamp_of(X509_get0_notAfter(authority.get()));
  if (!end) return internal_error("the end of an authority cannot be read");
  const CertificateTimes bounded{times.not_before, std::min(times.not_after, *end)};
  const CertificateHandle certificate = TRY(unsigned_certificate(profile, bounded, subject, random, errors));
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority.get())) != 1 ||
      !add_authority_key_id(certificate.get(), authority.get()) ||
      (!issuer.revocation_url.empty() && !add_revocation_url(certificate.get(), issuer.revocation_url)))
    return errors.failure("cannot build a certificate");
  return signed_der(certificate.get(), issuer.key, errors);
}

Result<CertificateReading> read_customer_certificate(ByteView der) {
  const ErrorQueue errors;
  const CertificateHandle certificate = TRY(certificate_of_der(der));
  const auto not_before = timestamp_of(X509_get0_notBefore(certificate.get()));
  const auto not_after = timestamp_of(X509_get0_notAfter(certificate.get()));
  if (!not_before || !not_after) return bad("The certificate's validity cannot be read.");
  CertificateReading reading;
  reading.profile.subject = distinguished_name_text(X509_get_subject_name(certificate.get()));
  reading.issuer = distinguished_name_text(X509_get_issuer_name(certificate.get()));
  reading.not_before = *not_before;
  reading.not_after = *not_after;
  reading.thumbprint = sha1(der);
  reading.serial = serial_of(certificate.get());
  reading.revocation_url = revocation_url_of(certificate.get());
  read_extensions(certificate.get(), reading.profile);
  return reading;
}

Result<bool> certificate_is_for(ByteView der, const KeyMaterial& key) {
  const ErrorQueue errors;
  const CertificateHandle certificate = TRY(certificate_of_der(der));
  return key.handle() != nullptr && X509_check_private_key(certificate.get(), key.handle()) == 1;
}

}  // namespace merlon::crypto
