// Lists of the whole authority, never of a part of it: no delta, no indirect ones.
#include "crypto/revocation_list.h"

#include <array>
#include <utility>

#include "crypto/certificate_extensions.h"

namespace merlon::crypto {
namespace {

using ListHandle = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;
using RevokedHandle = std::unique_ptr<X509_REVOKED, FreeWith<X509_REVOKED_free>>;
using EnumeratedHandle = std::unique_ptr<ASN1_ENUMERATED, FreeWith<ASN1_ENUMERATED_free>>;

constexpr std::array<std::pair<std::string_view, int>, 6> kReasons{{{"unspecified", 0},
                                                                    {"keyCompromise", 1},
                                                                    {"affiliationChanged", 3},
                                                                    {"superseded", 4},
                                                                    {"cessationOfOperation", 5},
                                                                    {"privilegeWithdrawn", 9}}};

TimeHandle time_of(Timestamp time) {
  return TimeHandle(ASN1_TIME_set(
      nullptr,
      static_cast<time_t>(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count())));
}

bool add_reason(X509_REVOKED* entry, int reason) {
  if (reason == 0) return true;  // RFC 5280 section 5.3.1: absent rather than unspecified
  const EnumeratedHandle value(ASN1_ENUMERATED_new());
  return value && ASN1_ENUMERATED_set(value.get(), reason) == 1 &&
         X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, value.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

bool add_entry(X509_CRL* list, const RevokedCertificate& revoked) {
  RevokedHandle entry(X509_REVOKED_new());
  const BignumHandle number(
      BN_bin2bn(revoked.serial.data(), static_cast<int>(revoked.serial.size()), nullptr));
  const IntegerHandle serial(number ? BN_to_ASN1_INTEGER(number.get(), nullptr) : nullptr);
  const TimeHandle at = time_of(revoked.at);
  if (!entry || !serial || !at || X509_REVOKED_set_serialNumber(entry.get(), serial.get()) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), at.get()) != 1 ||
      !add_reason(entry.get(), revoked.reason) || X509_CRL_add0_revoked(list, entry.get()) != 1)
    return false;
  static_cast<void>(entry.release());
  return true;
}

bool add_extensions(X509_CRL* list, int64_t number, X509* issuer) {
  const IntegerHandle value(ASN1_INTEGER_new());
  const AuthorityKeyIdHandle key_id = authority_key_id_of(issuer);
  return value && key_id && ASN1_INTEGER_set_int64(value.get(), number) == 1 &&
         X509_CRL_add1_ext_i2d(list, NID_crl_number, value.get(), 0, X509V3_ADD_DEFAULT) == 1 &&
         X509_CRL_add1_ext_i2d(list, NID_authority_key_identifier, key_id.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

}  // namespace

std::optional<int> revocation_reason(std::string_view name) {
  for (const auto& [known, number] : kReasons)
    if (known == name) return number;
  return std::nullopt;
}

Result<Bytes> sign_revocation_list(const RevocationList& list, const CertificateIssuer& issuer) {
  const ErrorQueue errors;
  const CertificateHandle authority = TRY(certificate_of_der(issuer.certificate_der));
  const ListHandle made(X509_CRL_new());
  const TimeHandle from = time_of(list.this_update);
  const TimeHandle to = time_of(list.next_update);
  if (!made || !from || !to || X509_CRL_set_version(made.get(), X509_CRL_VERSION_2) != 1 ||
      X509_CRL_set_issuer_name(made.get(), X509_get_subject_name(authority.get())) != 1 ||
      X509_CRL_set1_lastUpdate(made.get(), from.get()) != 1 ||
      X509_CRL_set1_nextUpdate(made.get(), to.get()) != 1 ||
      !add_extensions(made.get(), list.number, authority.get()))
    return errors.failure("cannot build a revocation list");
  for (const RevokedCertificate& revoked : list.revoked)
    if (!add_entry(made.get(), revoked)) return errors.failure("cannot build a revocation list");
  if (X509_CRL_sort(made.get()) != 1 ||
      X509_CRL_sign(made.get(), issuer.key.handle(), certificate_digest_for(issuer.key)) <= 0)
    return errors.failure("cannot sign a revocation list");
  uint8_t* encoded = nullptr;
  const int size = i2d_X509_CRL(made.get(), &encoded);
  if (size <= 0) return errors.failure("cannot encode a revocation list");
  Bytes der(encoded, encoded + size);
  OPENSSL_free(encoded);
  return der;
}

Result<bool> is_issued_by(ByteView der, ByteView issuer_der) {
  const ErrorQueue errors;
  const CertificateHandle certificate = TRY(certificate_of_der(der));
  const CertificateHandle issuer = TRY(certificate_of_der(issuer_der));
  return X509_verify(certificate.get(), X509_get0_pubkey(issuer.get())) == 1;
}

}  // namespace merlon::crypto
