// What the files that write and read certificates share. Not for other rooms: x509.h is theirs.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "crypto/openssl_handles.h"
#include "crypto/x509.h"

namespace merlon::crypto {

inline constexpr size_t kCertificateBytesMax = 64 * 1024;

// The first CERTIFICATE block of `pem`.
Result<CertificateHandle> certificate_of_pem(std::string_view pem);
std::string pem_of_certificate(X509* certificate);
Result<Bytes> der_of_certificate(X509* certificate);
// Errors: BadParameter.
Result<CertificateHandle> certificate_of_der(ByteView der);
// The digest that goes with a signing key: as strong as the key, none for Ed25519 (RFC 8410).
const EVP_MD* signing_digest(const PrivateKey& key);
// chains_to for certificates that are read already; the reason for a refusal, empty when the chain holds.
std::string chain_fault(X509* leaf, X509* authority, LeafUse use, Timestamp now);
std::optional<Timestamp> timestamp_of(const ASN1_TIME* time);
std::unexpected<Error> bad_certificate(std::string_view why);

}  // namespace merlon::crypto
