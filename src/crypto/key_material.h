// Keys that somebody else uses through Merlon: RSA, EC (with secp256k1) and symmetric ones, and the
// operations of Azure Key Vault on them, by its names (RFC 7518 and RFC 8812, with the HSM's AES modes).
// Signatures are made over digests, never over messages: the caller hashes. Values: copying shares the
// immutable key. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

struct evp_pkey_st;

namespace merlon::crypto {

class KeyContexts;

enum class MaterialKind { rsa, ec, oct };

struct Encrypted {
  Bytes value;
  Bytes iv, tag;  // of the AES modes that have them
};

struct EncryptParameters {
  std::string algorithm;
  Bytes iv;   // CBC and CBCPAD: 16 bytes, or none to have them made. GCM: always made here, since a repeated
              // one gives the key's authentication away
  Bytes aad;  // GCM
};

struct DecryptParameters {
  std::string algorithm;
  Bytes iv, aad, tag;
};

class KeyMaterial {
 public:
  // 2048, 3072 or 4096 bits; a public exponent above 2^16 (NIST SP 800-56B).
  static Result<KeyMaterial> generate_rsa(int64_t bits, int64_t exponent = 65537);
  static Result<KeyMaterial> generate_ec(std::string_view curve);  // "P-256", "P-384", "P-521", "P-256K"
  static Result<KeyMaterial> generate_oct(int64_t bits, Random& random);
  // A JSON Web Key, with its secret half or (RSA, EC) without, which then signs and decrypts nothing.
  // Refused: what is no valid key of a kind and size above.
  static Result<KeyMaterial> from_jwk(const JsonObject& jwk);
  // A pair that was read from a file: refused like a JSON Web Key.
  static Result<KeyMaterial> adopt(std::shared_ptr<evp_pkey_st> pair);
  static Result<KeyMaterial> load(const Secret& stored);
  Secret store() const;  // for sealing; load() reads it

  MaterialKind kind() const { return kind_; }
  bool is_private() const { return private_; }
  unsigned bits() const { return bits_; }
  const std::string& curve() const { return curve_; }  // of an EC key
  JsonObject public_jwk() const;  // kty and the public members; of a symmetric key kty alone

  // Errors are BadParameter: an unknown algorithm, one that does not fit the key, a digest of another length.
  Result<Bytes> sign(std::string_view algorithm, ByteView digest) const;
  Result<bool> verify(std::string_view algorithm, ByteView digest, ByteView signature) const;
  Result<Encrypted> encrypt(const EncryptParameters& parameters, ByteView plaintext, Random& random) const;
  // One error for whatever is wrong with the ciphertext (padding, tag, length): no oracle.
  Result<Secret> decrypt(const DecryptParameters& parameters, ByteView ciphertext) const;
  Result<Bytes> wrap(std::string_view algorithm, ByteView key) const;
  Result<Secret> unwrap(std::string_view algorithm, ByteView wrapped) const;

  evp_pkey_st* handle() const { return pair_.get(); }  // for this room: RSA or EC

 private:
  KeyMaterial(MaterialKind kind, std::shared_ptr<evp_pkey_st> pair, bool is_private);
  explicit KeyMaterial(Secret octets);

  MaterialKind kind_;
  bool private_ = true;
  unsigned bits_ = 0;
  std::string curve_;
  std::shared_ptr<evp_pkey_st> pair_;      // RSA, EC
  std::shared_ptr<KeyContexts> contexts_;  // of `pair_`
  Secret octets_;
};

}  // namespace merlon::crypto
