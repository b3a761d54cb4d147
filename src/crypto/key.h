// Asymmetric keys over OpenSSL EVP: RSA, EC (P-256, P-384, P-521) and Ed25519. Values: copying shares the
// immutable key. Thread-safe once made.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

struct evp_pkey_st;

namespace merlon::crypto {

enum class KeyKind { rsa, ec_p256, ec_p384, ec_p521, ed25519 };

// JOSE's names (RFC 7518, RFC 8037). ES* signatures are raw r‖s, not DER.
enum class SignatureAlgorithm { rs256, rs384, rs512, ps256, ps384, ps512, es256, es384, es512, eddsa };
std::string_view jose_name(SignatureAlgorithm algorithm);
std::optional<SignatureAlgorithm> signature_algorithm_from_jose(std::string_view name);

class PublicKey {
 public:
  static Result<PublicKey> from_spki_der(ByteView der);
  static Result<PublicKey> from_pem(std::string_view pem);
  KeyKind kind() const;
  unsigned bits() const;
  Bytes spki_der() const;
  std::string pem() const;
  // False for a signature that does not verify and for an algorithm that does not fit the key.
  bool verify(SignatureAlgorithm algorithm, ByteView message, ByteView signature) const;
  evp_pkey_st* handle() const { return handle_.get(); }  // for the crypto room alone
  explicit PublicKey(std::shared_ptr<evp_pkey_st> handle) : handle_(std::move(handle)) {}

 private:
  std::shared_ptr<evp_pkey_st> handle_;
};

class PrivateKey {
 public:
  static Result<PrivateKey> generate(KeyKind kind, unsigned rsa_bits = 2048);
  static Result<PrivateKey> from_pkcs8_der(const Secret& der);
  static Result<PrivateKey> from_pem(const Secret& pem);
  KeyKind kind() const;
  Secret pkcs8_der() const;
  Secret pem() const;
  PublicKey public_key() const;
  Result<Bytes> sign(SignatureAlgorithm algorithm, ByteView message) const;
  evp_pkey_st* handle() const { return handle_.get(); }  // for the crypto room alone
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> handle) : handle_(std::move(handle)) {}

 private:
  std::shared_ptr<evp_pkey_st> handle_;
};

// SHA-256 of the SubjectPublicKeyInfo: the name of a key that no certificate can change.
std::string spki_hash_hex(const PublicKey& key);

}  // namespace merlon::crypto
