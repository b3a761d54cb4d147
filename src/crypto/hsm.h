// Keys inside a PKCS#11 token (an HSM, SoftHSM): made there, never to leave it, used there. The token is
// named by a URI (RFC 7512) without an object, as pkcs11.h has it; its keys are found by CKA_ID.
//
// What the private or symmetric half does, the token does. The public half of RSA and EC keys is public:
// verify, and encryption for an RSA key, are KeyMaterial's, made from what generate() returns.
//
// Thread-safe. The token is looked for with the first use and again after it went away, so that a server
// starts without it. A PIN that was refused is not tried again: tokens lock themselves.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/key_material.h"

namespace merlon::crypto {

// How a key is found and what it is.
struct HsmKey {
  Bytes id;  // CKA_ID
  MaterialKind kind = MaterialKind::rsa;
  unsigned bits = 0;  // of RSA and oct
  std::string curve;  // of EC
};

struct HsmKeyWish {
  Bytes id;
  std::string label;  // for whoever looks into the token with its own tool
  MaterialKind kind = MaterialKind::rsa;
  int64_t bits = 0;
  int64_t exponent = 65537;
  std::string curve;
  bool signs = false;  // oct: an HMAC key, which a token keeps apart from AES keys
};

class HsmSessions;

class Hsm {
 public:
  // Errors: InvalidTokenUri. Does not look for the token.
  static Result<std::unique_ptr<Hsm>> at(const std::string& uri);
  ~Hsm();

  // Whether the token is there and takes the PIN. Errors: TokenRefused.
  Result<void> probe();

  // The public members of the JSON Web Key, kty with "-HSM". Errors: BadParameter for sizes and curves that
  // there are not, or that this token does not have; TokenRefused.
  Result<JsonObject> generate(const HsmKeyWish& wish);
  // Whatever has this id; that nothing has is no error.
  Result<void> destroy(ByteView id);
  Result<bool> holds(ByteView id);

  // As KeyMaterial's. Errors also: TokenRefused.
  Result<Bytes> sign(const HsmKey& key, std::string_view algorithm, ByteView digest);
  Result<bool> verify_mac(const HsmKey& key, std::string_view algorithm, ByteView value, ByteView mac);
  Result<Encrypted> encrypt(const HsmKey& key, const EncryptParameters& parameters, ByteView plaintext,
                            Random& random);
  Result<Secret> decrypt(const HsmKey& key, const DecryptParameters& parameters, ByteView ciphertext);
  Result<Bytes> wrap(const HsmKey& key, std::string_view algorithm, ByteView secret);
  Result<Secret> unwrap(const HsmKey& key, std::string_view algorithm, ByteView wrapped);
  Result<Secret> random_bytes(size_t count);

 private:
  explicit Hsm(std::unique_ptr<HsmSessions> sessions);
  std::unique_ptr<HsmSessions> sessions_;
};

}  // namespace merlon::crypto
