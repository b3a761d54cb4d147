// Certificate revocation lists (RFC 5280 section 5) of customers' authorities.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/customer_certificate.h"

namespace merlon::crypto {

struct RevokedCertificate {
  Bytes serial;  // big-endian
  Timestamp at;
  int reason = 0;  // RFC 5280 section 5.3.1
};

struct RevocationList {
  int64_t number = 0;  // grows with each list of the same authority
  Timestamp this_update, next_update;
  std::vector<RevokedCertificate> revoked;
};

// "keyCompromise" and the others that a person can have for a certificate that is no authority's.
std::optional<int> revocation_reason(std::string_view name);
// DER.
Result<Bytes> sign_revocation_list(const RevocationList& list, const CertificateIssuer& issuer);
// Whether `issuer_der`'s key has signed the certificate.
Result<bool> is_issued_by(ByteView der, ByteView issuer_der);

}  // namespace merlon::crypto
