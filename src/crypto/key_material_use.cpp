// Using keys: signatures over digests, RSA encryption, and the way to the AES modes.
#include <openssl/rsa.h>

#include "crypto/aes_modes.h"
#include "crypto/digest.h"
#include "crypto/ecdsa_form.h"
#include "crypto/key_algorithms.h"
#include "crypto/key_contexts.h"

namespace merlon::crypto {
namespace {

KeyShape shape_of(const KeyMaterial& key) { return {key.kind(), key.bits(), key.curve()}; }

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

int padding_of(const CryptAlgorithm& row) {
  return row.padding == RsaPadding::oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING;
}

// RFC 7518 section 3.5: MGF1 with the same hash, a salt as long as the hash.
bool set_signature(EVP_PKEY_CTX* context, const SignAlgorithm& row) {
  const EVP_MD* digest = digest_algorithm(row.digest);
  if (EVP_PKEY_CTX_set_signature_md(context, digest) != 1) return false;
  if (row.family == SignFamily::ecdsa) return true;
  if (row.family == SignFamily::rsa_pkcs1)
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool set_padding(EVP_PKEY_CTX* context, const CryptAlgorithm& row) {
  if (EVP_PKEY_CTX_set_rsa_padding(context, padding_of(row)) != 1) return false;
  if (row.padding != RsaPadding::oaep) return true;
  const EVP_MD* digest = digest_algorithm(row.digest);
  return EVP_PKEY_CTX_set_rsa_oaep_md(context, digest) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1;
}

Result<Bytes> mac(const SignAlgorithm& row, const Secret& key, ByteView value, const ErrorQueue& errors) {
  Bytes out(row.digest_bytes);
  size_t size = 0;
  const uint8_t none = 0;
  const char* digest = row.digest == DigestAlgorithm::sha256   ? "SHA256"
                       : row.digest == DigestAlgorithm::sha384 ? "SHA384"
                                                               : "SHA512";
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, digest, nullptr, key.expose().data(), key.size(),
                value.empty() ? &none : value.data(), value.size(), out.data(), out.size(),
                &size) == nullptr ||
      size != out.size())
    return errors.failure("HMAC fails");
  return out;
}

Result<Bytes> rsa_encrypt(const CryptAlgorithm& row, EVP_PKEY* key, ByteView plaintext) {
  const ErrorQueue errors;
  const size_t modulus = static_cast<size_t>(EVP_PKEY_get_size(key));
  const size_t overhead = row.padding == RsaPadding::pkcs1        ? 11
                          : row.digest == DigestAlgorithm::sha256 ? 66
                                                                  : 42;
  if (plaintext.size() > modulus - overhead)
    return bad("The value has " + std::to_string(plaintext.size()) +
               " bytes; with this key and algorithm it may have " + std::to_string(modulus - overhead) + ".");
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (!context || EVP_PKEY_encrypt_init(context.get()) != 1 || !set_padding(context.get(), row))
    return errors.failure("cannot prepare RSA encryption");
  Bytes out(modulus);
  size_t size = out.size();
  const uint8_t none = 0;
  if (EVP_PKEY_encrypt(context.get(), out.data(), &size, plaintext.empty() ? &none : plaintext.data(),
                       plaintext.size()) != 1)
    return errors.failure("RSA does not encrypt");
  out.resize(size);
  return out;
}

// Whatever is wrong gives the same answer: Bleichenbacher's and Manger's attacks live on the difference.
Result<Secret> rsa_decrypt(const CryptAlgorithm& row, EVP_PKEY* key, ByteView ciphertext) {
  const ErrorQueue errors;
  const size_t modulus = static_cast<size_t>(EVP_PKEY_get_size(key));
  if (ciphertext.size() != modulus) return decryption_failed();
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (!context || EVP_PKEY_decrypt_init(context.get()) != 1 || !set_padding(context.get(), row))
    return errors.failure("cannot prepare RSA decryption");
  Bytes out(modulus);
  size_t size = out.size();
  const int done = EVP_PKEY_decrypt(context.get(), out.data(), &size, ciphertext.data(), ciphertext.size());
  const Secret whole(std::move(out));
  if (done != 1) return decryption_failed();
  const ByteView view = whole.expose().first(size);
  return Secret(Bytes(view.begin(), view.end()));
}

// A context of the key, ready for this use. Kept for the next one when it was used well, and only then.
class ReadyContext {
 public:
  ReadyContext(KeyContexts& contexts, EVP_PKEY* key, ContextUse use, const SignAlgorithm& row)
      : contexts_(contexts), use_(use), row_(row), context_(contexts.take(use, row)) {
    if (context_) return;
    context_.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
    if (!context_) return;
    const bool begun = use == ContextUse::sign ? EVP_PKEY_sign_init(context_.get()) == 1
                                               : EVP_PKEY_verify_init(context_.get()) == 1;
    if (!begun || !set_signature(context_.get(), row)) context_.reset();
  }
  EVP_PKEY_CTX* get() const { return context_.get(); }  // null: OpenSSL says why
  void keep() { contexts_.keep(use_, row_, std::move(context_)); }

 private:
  KeyContexts& contexts_;
  const ContextUse use_;
  const SignAlgorithm& row_;
  KeyContextHandle context_;
};

Result<void> require_private(const KeyMaterial& key) {
  if (key.is_private()) return {};
  return bad(
      "The key was imported without its private half: it verifies, encrypts and wraps, and nothing else.");
}

}  // namespace

Result<Bytes> KeyMaterial::sign(std::string_view algorithm, ByteView digest) const {
  TRY(require_private(*this));
  const SignAlgorithm& row = *TRY(sign_algorithm(algorithm, shape_of(*this), digest));
  const ErrorQueue errors;
  if (row.family == SignFamily::hmac) return mac(row, octets_, digest, errors);
  ReadyContext context(*contexts_, pair_.get(), ContextUse::sign, row);
  if (context.get() == nullptr) return errors.failure("cannot prepare a signature");
  Bytes out(static_cast<size_t>(EVP_PKEY_get_size(pair_.get())));
  size_t size = out.size();
  if (EVP_PKEY_sign(context.get(), out.data(), &size, digest.data(), digest.size()) != 1)
    return errors.failure("cannot sign");
  context.keep();
  out.resize(size);
  if (row.family != SignFamily::ecdsa) return out;
  auto raw = ecdsa_raw_of_der(out, scalar_bytes(row.curve));
  if (!raw) return errors.failure("cannot read back an ECDSA signature");
  return *std::move(raw);
}

Result<bool> KeyMaterial::verify(std::string_view algorithm, ByteView digest, ByteView signature) const {
  const SignAlgorithm& row = *TRY(sign_algorithm(algorithm, shape_of(*this), digest));
  const ErrorQueue errors;
  if (row.family == SignFamily::hmac)
    return constant_time_equal(TRY(mac(row, octets_, digest, errors)), signature);
  Bytes der;
  if (row.family == SignFamily::ecdsa) {
    auto converted = ecdsa_der_of_raw(signature, scalar_bytes(row.curve));
    if (!converted) return false;
    der = *std::move(converted);
    signature = der;
  }
  if (signature.empty()) return false;
  ReadyContext context(*contexts_, pair_.get(), ContextUse::verify, row);
  if (context.get() == nullptr) return errors.failure("cannot prepare a verification");
  if (EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.data(), digest.size()) != 1)
    return false;
  context.keep();
  return true;
}

Result<Encrypted> KeyMaterial::encrypt(const EncryptParameters& parameters, ByteView plaintext,
                                       Random& random) const {
  if (kind_ == MaterialKind::oct)
    return aes_encrypt(TRY(aes_mode(parameters.algorithm, shape_of(*this))), octets_, parameters, plaintext,
                       random);
  const CryptAlgorithm& row = *TRY(crypt_algorithm(parameters.algorithm, shape_of(*this)));
  if (!parameters.iv.empty() || !parameters.aad.empty()) return bad("RSA takes neither iv nor aad.");
  return Encrypted{TRY(rsa_encrypt(row, pair_.get(), plaintext)), {}, {}};
}

Result<Secret> KeyMaterial::decrypt(const DecryptParameters& parameters, ByteView ciphertext) const {
  TRY(require_private(*this));
  if (kind_ == MaterialKind::oct)
    return aes_decrypt(TRY(aes_mode(parameters.algorithm, shape_of(*this))), octets_, parameters, ciphertext);
  const CryptAlgorithm& row = *TRY(crypt_algorithm(parameters.algorithm, shape_of(*this)));
  if (!parameters.iv.empty() || !parameters.aad.empty() || !parameters.tag.empty())
    return bad("RSA takes neither iv nor aad nor tag.");
  return rsa_decrypt(row, pair_.get(), ciphertext);
}

Result<Bytes> KeyMaterial::wrap(std::string_view algorithm, ByteView key) const {
  if (kind_ == MaterialKind::oct) return aes_wrap(TRY(aes_mode(algorithm, shape_of(*this))), octets_, key);
  return rsa_encrypt(*TRY(crypt_algorithm(algorithm, shape_of(*this))), pair_.get(), key);
}

Result<Secret> KeyMaterial::unwrap(std::string_view algorithm, ByteView wrapped) const {
  TRY(require_private(*this));
  if (kind_ == MaterialKind::oct)
    return aes_unwrap(TRY(aes_mode(algorithm, shape_of(*this))), octets_, wrapped);
  return rsa_decrypt(*TRY(crypt_algorithm(algorithm, shape_of(*this))), pair_.get(), wrapped);
}

}  // namespace merlon::crypto
