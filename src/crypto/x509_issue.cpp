// Writing certificates (RFC 5280): extensions are built as values, never from OpenSSL's configuration
// strings, where a comma in a name would start another name.
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "crypto/certificate_parts.h"
#include "crypto/digest.h"

namespace merlon::crypto {
namespace {

using ExtendedUsageHandle = std::unique_ptr<EXTENDED_KEY_USAGE, FreeWith<EXTENDED_KEY_USAGE_free>>;
using GeneralNameHandle = std::unique_ptr<GENERAL_NAME, FreeWith<GENERAL_NAME_free>>;
using GeneralNamesHandle = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;
using NameConstraintsHandle = std::unique_ptr<NAME_CONSTRAINTS, FreeWith<NAME_CONSTRAINTS_free>>;
using SubtreeHandle = std::unique_ptr<GENERAL_SUBTREE, FreeWith<GENERAL_SUBTREE_free>>;
using BasicConstraintsHandle = std::unique_ptr<BASIC_CONSTRAINTS, FreeWith<BASIC_CONSTRAINTS_free>>;
using BitStringHandle = std::unique_ptr<ASN1_BIT_STRING, FreeWith<ASN1_BIT_STRING_free>>;
using OctetStringHandle = std::unique_ptr<ASN1_OCTET_STRING, FreeWith<ASN1_OCTET_STRING_free>>;
using AuthorityKeyIdHandle = std::unique_ptr<AUTHORITY_KEYID, FreeWith<AUTHORITY_KEYID_free>>;
using IntegerHandle = std::unique_ptr<ASN1_INTEGER, FreeWith<ASN1_INTEGER_free>>;
using TimeHandle = std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>>;

// RFC 5280 section 4.2.1.3.
constexpr int kDigitalSignature = 0;
constexpr int kKeyCertSign = 5;
constexpr int kCrlSign = 6;

enum class Criticality : int { no = 0, yes = 1 };

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
  return std::ranges::all_of(label, [](char c) {
    const char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// A host name in the preferred syntax (RFC 1034 section 3.5), underscores allowed. A wildcard is the whole
// leftmost label and has at least two labels after it (RFC 9525 section 6.3).
bool is_dns_name(std::string_view name, bool wildcard_allowed) {
  if (name.empty() || name.size() > 253 || IpAddress::parse(name)) return false;
  if (wildcard_allowed && name.starts_with("*.")) {
    name.remove_prefix(2);
    if (name.find('.') == std::string_view::npos) return false;
  }
  return std::ranges::all_of(split(name, '.'), is_label);
}

std::unexpected<Error> bad_parameter(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

bool add_extension(X509* certificate, int nid, void* value, Criticality criticality) {
  return X509_add1_ext_i2d(certificate, nid, value, static_cast<int>(criticality), X509V3_ADD_DEFAULT) == 1;
}

bool add_basic_constraints(X509* certificate, bool authority) {
  const BasicConstraintsHandle constraints(BASIC_CONSTRAINTS_new());
  if (!constraints) return false;
  if (authority) {
    constraints->ca = 0xff;
    constraints->pathlen = ASN1_INTEGER_new();
    if (constraints->pathlen == nullptr || ASN1_INTEGER_set(constraints->pathlen, 0) != 1) return false;
  }
  return add_extension(certificate, NID_basic_constraints, constraints.get(), Criticality::yes);
}

bool add_key_usage(X509* certificate, std::initializer_list<int> bits) {
  const BitStringHandle usage(ASN1_BIT_STRING_new());
  if (!usage) return false;
  for (const int bit : bits)
    if (ASN1_BIT_STRING_set_bit(usage.get(), bit, 1) != 1) return false;
  return add_extension(certificate, NID_key_usage, usage.get(), Criticality::yes);
}

bool add_extended_usage(X509* certificate, LeafUse use) {
  const ExtendedUsageHandle usages(sk_ASN1_OBJECT_new_null());
  ASN1_OBJECT* usage = OBJ_nid2obj(use == LeafUse::tls_server ? NID_server_auth : NID_client_auth);
  return usages && usage != nullptr && sk_ASN1_OBJECT_push(usages.get(), usage) > 0 &&
         add_extension(certificate, NID_ext_key_usage, usages.get(), Criticality::no);
}

// RFC 7093 section 2, method 1: the first 160 bits of SHA-256 over the public key's bit string.
Bytes key_identifier(const X509* certificate) {
  const ASN1_BIT_STRING* bits = X509_get0_pubkey_bitstr(certificate);
  MERLON_CHECK(bits != nullptr);
  const Sha256Digest digest = sha256({bits->data, static_cast<size_t>(bits->length)});
  return {digest.begin(), digest.begin() + 20};
}

bool add_subject_key_id(X509* certificate) {
  const Bytes identifier = key_identifier(certificate);
  const OctetStringHandle value(ASN1_OCTET_STRING_new());
  return value &&
         ASN1_OCTET_STRING_set(value.get(), identifier.data(), static_cast<int>(identifier.size())) == 1 &&
         add_extension(certificate, NID_subject_key_identifier, value.get(), Criticality::no);
}

bool add_authority_key_id(X509* certificate, X509* issuer) {
  // The issuer's own spelling, where it has one: an authority made elsewhere may have used another method.
  const ASN1_OCTET_STRING* own = X509_get0_subject_key_id(issuer);
  const Bytes identifier =
      own != nullptr ? Bytes(own->data, own->data + own->length) : key_identifier(issuer);
  const AuthorityKeyIdHandle value(AUTHORITY_KEYID_new());
  if (!value) return false;
  value->keyid = ASN1_OCTET_STRING_new();
  return value->keyid != nullptr &&
         ASN1_OCTET_STRING_set(value->keyid, identifier.data(), static_cast<int>(identifier.size())) == 1 &&
         add_extension(certificate, NID_authority_key_identifier, value.get(), Criticality::no);
}

GeneralNameHandle general_name(int type, int string_type, ByteView value) {
  GeneralNameHandle name(GENERAL_NAME_new());
  ASN1_STRING* text = ASN1_STRING_type_new(string_type);
  if (!name || text == nullptr || ASN1_STRING_set(text, value.data(), static_cast<int>(value.size())) != 1) {
    ASN1_STRING_free(text);
    return nullptr;
  }
  GENERAL_NAME_set0_value(name.get(), type, text);
  return name;
}

bool push_name(GENERAL_NAMES* names, GeneralNameHandle name) {
  if (!name || sk_GENERAL_NAME_push(names, name.get()) <= 0) return false;
  static_cast<void>(name.release());
  return true;
}

bool add_alternative_names(X509* certificate, const LeafParameters& parameters) {
  if (parameters.dns_names.empty() && parameters.addresses.empty()) return true;
  const GeneralNamesHandle names(sk_GENERAL_NAME_new_null());
  if (!names) return false;
  for (const std::string& dns_name : parameters.dns_names) {
    const std::string lower = ascii_lower(dns_name);
    if (!push_name(names.get(), general_name(GEN_DNS, V_ASN1_IA5STRING, as_bytes(lower)))) return false;
  }
  for (const IpAddress& address : parameters.addresses) {
    const ByteView bytes(address.bytes().data(), address.bits() / 8);
    if (!push_name(names.get(), general_name(GEN_IPADD, V_ASN1_OCTET_STRING, bytes))) return false;
  }
  // RFC 5280 section 4.2.1.6: critical when nothing else names the subject.
  const auto criticality = parameters.common_name.empty() ? Criticality::yes : Criticality::no;
  return add_extension(certificate, NID_subject_alt_name, names.get(), criticality);
}

bool add_name_constraints(X509* certificate, const std::vector<std::string>& permitted) {
  if (permitted.empty()) return true;
  const NameConstraintsHandle constraints(NAME_CONSTRAINTS_new());
  if (!constraints) return false;
  constraints->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
  if (constraints->permittedSubtrees == nullptr) return false;
  for (const std::string& dns_name : permitted) {
    const std::string lower = ascii_lower(dns_name);
    SubtreeHandle subtree(GENERAL_SUBTREE_new());
    GeneralNameHandle name = general_name(GEN_DNS, V_ASN1_IA5STRING, as_bytes(lower));
    if (!subtree || !name) return false;
    GENERAL_NAME_free(subtree->base);
    subtree->base = name.release();
    if (sk_GENERAL_SUBTREE_push(constraints->permittedSubtrees, subtree.get()) <= 0) return false;
    static_cast<void>(subtree.release());
  }
  return add_extension(certificate, NID_name_constraints, constraints.get(), Criticality::yes);
}

// 159 random bits: RFC 5280 section 4.1.2.2 allows 20 octets and wants a positive number.
bool set_serial(X509* certificate, Random& random) {
  std::array<uint8_t, 20> bytes{};
  random.fill(bytes);
  bytes.front() = static_cast<uint8_t>(bytes.front() & 0x7f);
  const BignumHandle number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  if (!number || (BN_is_zero(number.get()) && BN_one(number.get()) != 1)) return false;
  const IntegerHandle serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  return serial && X509_set_serialNumber(certificate, serial.get()) == 1;
}

bool set_common_name(X509_NAME* name, const std::string& common_name) {
  return common_name.empty() ||
         X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool set_times(X509* certificate, Timestamp not_before, Timestamp not_after) {
  const auto seconds = [](Timestamp time) {
    return static_cast<time_t>(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
  };
  const TimeHandle start(ASN1_TIME_set(nullptr, seconds(not_before)));
  const TimeHandle end(ASN1_TIME_set(nullptr, seconds(not_after)));
  return start && end && X509_set1_notBefore(certificate, start.get()) == 1 &&
         X509_set1_notAfter(certificate, end.get()) == 1;
}

struct Basics {
  const std::string& common_name;
  Timestamp not_before;
  Timestamp not_after;
};

Result<CertificateHandle> new_certificate(const Basics& basics, EVP_PKEY* subject, Random& random,
                                          const ErrorQueue& errors) {
  if (basics.not_after <= basics.not_before)
    return bad_parameter("The certificate for '" + basics.common_name + "' would end before it starts.");
  // RFC 5280 appendix A.1, ub-common-name.
  if (basics.common_name.size() > 64 || !is_utf8(basics.common_name) ||
      std::ranges::any_of(basics.common_name, [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    return bad_parameter("The common name of a certificate must be printable text of at most 64 bytes.");
  CertificateHandle certificate(X509_new());
  const NameHandle name(X509_NAME_new());
  if (!certificate || !name || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_serial(certificate.get(), random) || !set_common_name(name.get(), basics.common_name) ||
      X509_set_subject_name(certificate.get(), name.get()) != 1 ||
      X509_set_issuer_name(certificate.get(), name.get()) != 1 ||
      !set_times(certificate.get(), basics.not_before, basics.not_after) ||
      X509_set_pubkey(certificate.get(), subject) != 1)
    return errors.failure("cannot build a certificate");
  return certificate;
}

std::optional<Error> leaf_parameter_fault(const LeafParameters& parameters) {
  for (const std::string& name : parameters.dns_names)
    if (!is_dns_name(name, true))
      return bad_parameter("'" + name + "' is not a DNS name for a certificate.").error();
  if (parameters.common_name.empty() && parameters.dns_names.empty() && parameters.addresses.empty())
    return bad_parameter("The certificate would name nobody. Give a common name, a DNS name or an address.")
        .error();
  return std::nullopt;
}

bool add_leaf_extensions(X509* certificate, const LeafParameters& parameters) {
  // No keyEncipherment: it serves the RSA key exchange that TLS 1.3 dropped, and lets one key do two jobs.
  return add_basic_constraints(certificate, false) && add_key_usage(certificate, {kDigitalSignature}) &&
         add_extended_usage(certificate, parameters.use) && add_alternative_names(certificate, parameters) &&
         add_subject_key_id(certificate);
}

Result<std::string> signed_pem(X509* certificate, const PrivateKey& key, const ErrorQueue& errors) {
  if (X509_sign(certificate, key.handle(), signing_digest(key)) <= 0)
    return errors.failure("cannot sign a certificate");
  return pem_of_certificate(certificate);
}

}  // namespace

Result<std::string> make_authority(const AuthorityParameters& parameters, const PrivateKey& key,
                                   Random& random) {
  const ErrorQueue errors;
  if (parameters.common_name.empty())
    return bad_parameter(
        "A certificate authority needs a common name: certificates name their issuer by it.");
  for (const std::string& name : parameters.permitted_dns)
    if (!is_dns_name(name, false))
      return bad_parameter("'" + name + "' is not a DNS name that an authority can be limited to.");
  const CertificateHandle certificate = TRY(new_certificate(
      {parameters.common_name, parameters.not_before, parameters.not_after}, key.handle(), random, errors));
  if (!add_basic_constraints(certificate.get(), true) ||
      !add_key_usage(certificate.get(), {kKeyCertSign, kCrlSign}) || !add_subject_key_id(certificate.get()) ||
      !add_authority_key_id(certificate.get(), certificate.get()) ||
      !add_name_constraints(certificate.get(), parameters.permitted_dns))
    return errors.failure("cannot build an authority's certificate");
  return signed_pem(certificate.get(), key, errors);
}

Result<std::string> issue_leaf(const LeafParameters& parameters, const PublicKey& subject,
                               const std::string& authority_pem, const PrivateKey& authority_key,
                               Random& random) {
  const ErrorQueue errors;
  if (auto fault = leaf_parameter_fault(parameters)) return std::unexpected(*std::move(fault));
  const CertificateHandle authority = TRY(certificate_of_pem(authority_pem));
  if (X509_check_private_key(authority.get(), authority_key.handle()) != 1)
    return internal_error("issue_leaf was given an authority's certificate with another authority's key");
  const auto authority_start = timestamp_of(X509_get0_notBefore(authority.get()));
  const auto authority_end = timestamp_of(X509_get0_notAfter(authority.get()));
  if (!authority_start || !authority_end) return bad_certificate("the authority's validity cannot be read");
  if (parameters.not_after > *authority_end)
    return bad_parameter("The certificate for '" + parameters.common_name +
                         "' would outlive its authority. Shorten it, or renew the authority.");
  const CertificateHandle certificate =
      TRY(new_certificate({parameters.common_name, parameters.not_before, parameters.not_after},
                          subject.handle(), random, errors));
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority.get())) != 1 ||
      !add_leaf_extensions(certificate.get(), parameters) ||
      !add_authority_key_id(certificate.get(), authority.get()))
    return errors.failure("cannot build a certificate");
  std::string pem = TRY(signed_pem(certificate.get(), authority_key, errors));
  // What relying parties will refuse is refused here, where it can still be explained: a name outside the
  // authority's constraints, an authority that is none. Checked as they will see it, in the text that leaves.
  const CertificateHandle issued = TRY(certificate_of_pem(pem));
  const std::string fault = chain_fault(issued.get(), authority.get(), parameters.use,
                                        std::max(parameters.not_before, *authority_start));
  if (!fault.empty())
    return bad_parameter("The authority cannot issue the certificate for '" + parameters.common_name +
                         "': " + fault + ".");
  return pem;
}

Result<std::string> make_self_signed(const LeafParameters& parameters, const PrivateKey& key,
                                     Random& random) {
  const ErrorQueue errors;
  if (auto fault = leaf_parameter_fault(parameters)) return std::unexpected(*std::move(fault));
  const CertificateHandle certificate = TRY(new_certificate(
      {parameters.common_name, parameters.not_before, parameters.not_after}, key.handle(), random, errors));
  if (!add_leaf_extensions(certificate.get(), parameters) ||
      !add_authority_key_id(certificate.get(), certificate.get()))
    return errors.failure("cannot build a certificate");
  return signed_pem(certificate.get(), key, errors);
}

Result<std::string> make_request(const PrivateKey& key, const std::string& common_name) {
  const ErrorQueue errors;
  const RequestHandle request(X509_REQ_new());
  const BioHandle bio(BIO_new(BIO_s_mem()));
  if (!request || !bio || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !set_common_name(X509_REQ_get_subject_name(request.get()), common_name) ||
      X509_REQ_set_pubkey(request.get(), key.handle()) != 1 ||
      X509_REQ_sign(request.get(), key.handle(), signing_digest(key)) <= 0 ||
      PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1)
    return errors.failure("cannot make a certificate request");
  return std::string(as_text(take_bytes(bio.get())));
}

}  // namespace merlon::crypto
