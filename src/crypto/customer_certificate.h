// Certificates for customers, as Key Vault's policies describe them: requests, self-signed ones, and ones
// that an authority issues. None of it is ever trusted by Merlon itself.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "crypto/key_material.h"

namespace merlon::crypto {

struct CertificateProfile {
  std::string subject;  // RFC 4514: "CN=www.example.org, O=Example"
  std::vector<std::string> dns_names, emails, upns, uris;
  std::vector<std::string> addresses;        // IPv4 and IPv6, as text
  std::vector<std::string> extended_usages;  // dotted OIDs (RFC 5280 section 4.2.1.12)
  std::vector<std::string> usages;           // "digitalSignature" …, the names of RFC 5280 section 4.2.1.3
  bool authority = false;                    // a certificate that issues others, path length 0
};

// BadParameter, naming the member that is wrong.
Result<void> check_profile(const CertificateProfile& profile);

struct CertificateTimes {
  Timestamp not_before, not_after;
};

struct CertificateIssuer {
  Bytes certificate_der;
  KeyMaterial key;
  std::string revocation_url{};  // where its list is, for what it issues; empty: it keeps none
};

// All DER. The key is RSA or EC.
Result<Bytes> make_certificate_request(const CertificateProfile& profile, const KeyMaterial& key);
Result<Bytes> self_sign(const CertificateProfile& profile, const CertificateTimes& times,
                        const KeyMaterial& key, Random& random);
// Ends no later than its issuer: a longer life is shortened to that.
Result<Bytes> issue_certificate(const CertificateProfile& profile, const CertificateTimes& times,
                                const KeyMaterial& subject, const CertificateIssuer& issuer, Random& random);

struct CertificateReading {
  CertificateProfile profile;  // what it says of itself
  std::string issuer;
  Timestamp not_before, not_after;
  Bytes thumbprint;  // SHA-1, which Azure calls x5t
  Bytes serial;      // big-endian
  std::string revocation_url;
};
Result<CertificateReading> read_customer_certificate(ByteView der);
// Whether the certificate is for that key.
Result<bool> certificate_is_for(ByteView der, const KeyMaterial& key);

}  // namespace merlon::crypto
