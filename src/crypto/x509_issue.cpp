// Writing certificates (RFC 5280): extensions are built as values, never from OpenSSL's configuration
// strings, where a comma in a name would start another name.
#include <openssl/pem.h>

#include <algorithm>

#include "base/text.h"
#include "crypto/certificate_extensions.h"

namespace merlon::crypto {
namespace {

// RFC 5280 section 4.2.1.3.
constexpr int kDigitalSignature = 0;
constexpr int kKeyCertSign = 5;
constexpr int kCrlSign = 6;

std::unexpected<Error> bad_parameter(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

bool add_basic_constraints(X509* certificate, bool authority) {
  const BasicConstraintsHandle constraints = basic_constraints_of(authority);
  return constraints &&
         add_extension(certificate, NID_basic_constraints, constraints.get(), Criticality::yes);
}

bool add_key_usage(X509* certificate, const std::vector<int>& bits) {
  const BitStringHandle usage = key_usage_of(bits);
  return usage && add_extension(certificate, NID_key_usage, usage.get(), Criticality::yes);
}

bool add_extended_usage(X509* certificate, LeafUse use) {
  const ExtendedUsageHandle usages(sk_ASN1_OBJECT_new_null());
  ASN1_OBJECT* usage = OBJ_nid2obj(use == LeafUse::tls_server ? NID_server_auth : NID_client_auth);
  return usages && usage != nullptr && sk_ASN1_OBJECT_push(usages.get(), usage) > 0 &&
         add_extension(certificate, NID_ext_key_usage, usages.get(), Criticality::no);
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

bool set_common_name(X509_NAME* name, const std::string& common_name) {
  return common_name.empty() ||
         X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
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
