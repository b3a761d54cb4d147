// X.509 certificates (RFC 5280): our own authorities with path length, key usage and name constraints, leaf
// certificates, and reading what others present. Times are bounded by the caller's Clock, never by the
// system's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/random.h"
#include "crypto/key.h"

namespace merlon::crypto {

enum class LeafUse { tls_server, tls_client };

struct AuthorityParameters {
  std::string common_name;
  Timestamp not_before;
  Timestamp not_after;
  std::vector<std::string> permitted_dns;  // name constraints (critical) when not empty: "merlon.localhost"
};

struct LeafParameters {
  std::string common_name;
  std::vector<std::string> dns_names;  // subject alternative names; "*.vault.example.org" allowed
  std::vector<IpAddress> addresses;
  LeafUse use = LeafUse::tls_server;
  Timestamp not_before;
  Timestamp not_after;
};

struct CertificateFacts {
  std::string subject_common_name;
  Timestamp not_before;
  Timestamp not_after;
  std::string spki_hash_hex;
  std::string sha1_thumbprint_hex;  // lower case; what Azure calls thumbprint
  std::vector<std::string> dns_names;
};

// Self-signed authority: path length 0, keyCertSign and cRLSign only. PEM.
Result<std::string> make_authority(const AuthorityParameters& parameters, const PrivateKey& key,
                                   Random& random);
// A leaf for `subject`, signed by the authority. PEM, the leaf alone.
Result<std::string> issue_leaf(const LeafParameters& parameters, const PublicKey& subject,
                               const std::string& authority_pem, const PrivateKey& authority_key,
                               Random& random);
// A self-signed certificate for a key that somebody registers (application credentials in tests and `app
// create`).
Result<std::string> make_self_signed(const LeafParameters& parameters, const PrivateKey& key, Random& random);

Result<CertificateFacts> read_certificate(std::string_view pem);
Result<PublicKey> certificate_public_key(std::string_view pem);
Result<Bytes> certificate_der(std::string_view pem);
std::string certificate_pem(ByteView der);
// Was `leaf_pem` signed by `authority_pem`, and valid at `now`, for `use`?
bool chains_to(std::string_view leaf_pem, std::string_view authority_pem, LeafUse use, Timestamp now);

// PKCS#10 with the public key and a proof of possession.
Result<std::string> make_request(const PrivateKey& key, const std::string& common_name);
Result<PublicKey> verify_request(std::string_view pem);  // the key, when the request's signature verifies

}  // namespace merlon::crypto
