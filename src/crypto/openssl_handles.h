// The room's own view of OpenSSL: every handle owned, every algorithm fetched once, the thread's error queue
// emptied. Not for other rooms: they see keys, digests and certificates, never OpenSSL types.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/key.h"

namespace merlon::crypto {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};

using BioHandle = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using BignumHandle = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using CipherHandle = std::unique_ptr<EVP_CIPHER, FreeWith<EVP_CIPHER_free>>;
using CipherContextHandle = std::unique_ptr<EVP_CIPHER_CTX, FreeWith<EVP_CIPHER_CTX_free>>;
using DigestHandle = std::unique_ptr<EVP_MD, FreeWith<EVP_MD_free>>;
using DigestContextHandle = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using MacHandle = std::unique_ptr<EVP_MAC, FreeWith<EVP_MAC_free>>;
using MacContextHandle = std::unique_ptr<EVP_MAC_CTX, FreeWith<EVP_MAC_CTX_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using KeyContextHandle = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using Pkcs8Handle = std::unique_ptr<PKCS8_PRIV_KEY_INFO, FreeWith<PKCS8_PRIV_KEY_INFO_free>>;
using EcdsaSignatureHandle = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;
using ParamBuilderHandle = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using ParamsHandle = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;
using CertificateHandle = std::unique_ptr<X509, FreeWith<X509_free>>;
using RequestHandle = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;
using NameHandle = std::unique_ptr<X509_NAME, FreeWith<X509_NAME_free>>;

// A call into OpenSSL starts and ends with an empty error queue: what one call leaves there, SSL_get_error of
// another connection on the same thread would take for its own (SSL_get_error(3)).
class ErrorQueue {
 public:
  ErrorQueue();
  ~ErrorQueue();
  ErrorQueue(const ErrorQueue&) = delete;
  ErrorQueue& operator=(const ErrorQueue&) = delete;
  std::string take() const;                                     // all reasons, for the log
  std::unexpected<Error> failure(std::string_view what) const;  // internal error: "what: reasons"
};

enum class DigestAlgorithm { sha1, sha256, sha384, sha512 };
const EVP_MD* digest_algorithm(DigestAlgorithm algorithm);

// Input for a BIO reader; refuses more than `bytes_max`, since PEM readers buffer whatever they are given.
BioHandle reader_of(std::string_view text, size_t bytes_max);
Bytes take_bytes(BIO* bio);
// A PEM passphrase callback that has none: OpenSSL's default asks on the terminal.
int no_passphrase(char* buffer, int size, int writing, void* context);

// Takes a key from outside: refuses kinds, sizes and encodings that Merlon does not use, and keys that are
// not valid (points off the curve, an RSA exponent of 1). `what` names the source in the message: "The public
// key".
Result<PublicKey> adopt_public_key(KeyHandle handle, std::string_view what);
std::optional<KeyKind> key_kind(const EVP_PKEY* key);

}  // namespace merlon::crypto
