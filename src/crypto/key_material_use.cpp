// Using keys: signatures over digests, RSA encryption, and the way to the AES modes.
#include <openssl/rsa.h>

#include <array>

#include "crypto/aes_modes.h"
#include "crypto/digest.h"
#include "crypto/key_material.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

constexpr size_t kMacInputMax = 64 * 1024;

enum class Family { rsa_pkcs1, rsa_pss, ecdsa, hmac };
struct SignRow {
  std::string_view name;
  Family family;
  DigestAlgorithm digest;
  size_t digest_bytes;
  std::string_view curve;  // each ES* belongs to one (RFC 7518 section 3.4, RFC 8812 section 3.2)
};
constexpr std::array<SignRow, 13> kSigns = {{{"RS256", Family::rsa_pkcs1, DigestAlgorithm::sha256, 32, ""},
                                             {"RS384", Family::rsa_pkcs1, DigestAlgorithm::sha384, 48, ""},
                                             {"RS512", Family::rsa_pkcs1, DigestAlgorithm::sha512, 64, ""},
                                             {"PS256", Family::rsa_pss, DigestAlgorithm::sha256, 32, ""},
                                             {"PS384", Family::rsa_pss, DigestAlgorithm::sha384, 48, ""},
                                             {"PS512", Family::rsa_pss, DigestAlgorithm::sha512, 64, ""},
                                             {"ES256", Family::ecdsa, DigestAlgorithm::sha256, 32, "P-256"},
                                             {"ES384", Family::ecdsa, DigestAlgorithm::sha384, 48, "P-384"},
                                             {"ES512", Family::ecdsa, DigestAlgorithm::sha512, 64, "P-521"},
                                             {"ES256K", Family::ecdsa, DigestAlgorithm::sha256, 32, "P-256K"},
                                             {"HS256", Family::hmac, DigestAlgorithm::sha256, 32, ""},
                                             {"HS384", Family::hmac, DigestAlgorithm::sha384, 48, ""},
                                             {"HS512", Family::hmac, DigestAlgorithm::sha512, 64, ""}}};

struct CryptRow {
  std::string_view name;
  int padding;
  DigestAlgorithm digest;  // of OAEP and its MGF1
};
constexpr std::array<CryptRow, 3> kCrypts = {
    {{"RSA-OAEP", RSA_PKCS1_OAEP_PADDING, DigestAlgorithm::sha1},
     {"RSA-OAEP-256", RSA_PKCS1_OAEP_PADDING, DigestAlgorithm::sha256},
     {"RSA1_5", RSA_PKCS1_PADDING, DigestAlgorithm::sha1}}};

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

// Their text, in ours: bounded and printable.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 32)) out += c > 0x20 && c < 0x7f ? c : '?';
  return out + "'";
}

MaterialKind kind_for(Family family) {
  if (family == Family::hmac) return MaterialKind::oct;
  return family == Family::ecdsa ? MaterialKind::ec : MaterialKind::rsa;
}

Result<const SignRow*> sign_row(std::string_view name, const KeyMaterial& key, ByteView digest) {
  for (const SignRow& row : kSigns) {
    if (row.name != name) continue;
    if (kind_for(row.family) != key.kind() || (!row.curve.empty() && key.curve() != row.curve))
      return bad("The algorithm " + quoted(name) + " does not fit this key.");
    if (row.family == Family::hmac) {
      if (digest.size() > kMacInputMax) return bad("The value exceeds 64 KiB.");
    } else if (digest.size() != row.digest_bytes) {
      return bad("The value must be the digest that " + std::string(name) + " takes, of " +
                 std::to_string(row.digest_bytes) + " bytes; it has " + std::to_string(digest.size()) + ".");
    }
    return &row;
  }
  return bad("The signature algorithm " + quoted(name) + " is not known.");
}

Result<const CryptRow*> crypt_row(std::string_view name, const KeyMaterial& key) {
  for (const CryptRow& row : kCrypts) {
    if (row.name != name) continue;
    if (key.kind() != MaterialKind::rsa) return bad("The algorithm " + quoted(name) + " takes an RSA key.");
    return &row;
  }
  return bad("The algorithm " + quoted(name) + " is not known, or does not fit this key.");
}

size_t scalar_bytes(std::string_view curve) { return curve == "P-384" ? 48 : curve == "P-521" ? 66 : 32; }

std::optional<Bytes> raw_of_der(ByteView der, size_t width) {
  const uint8_t* cursor = der.data();
  const EcdsaSignatureHandle signature(d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(der.size())));
  if (!signature) return std::nullopt;
  Bytes raw(2 * width);
  const int size = static_cast<int>(width);
  if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), size) != size ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + width, size) != size)
    return std::nullopt;
  return raw;
}

std::optional<Bytes> der_of_raw(ByteView raw, size_t width) {
  if (raw.size() != 2 * width) return std::nullopt;
  const int size = static_cast<int>(width);
  BignumHandle r(BN_bin2bn(raw.data(), size, nullptr));
  BignumHandle s(BN_bin2bn(raw.data() + width, size, nullptr));
  const EcdsaSignatureHandle signature(ECDSA_SIG_new());
  if (!r || !s || !signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return std::nullopt;
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  const int length = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (length <= 0) return std::nullopt;
  Bytes der(static_cast<size_t>(length));
  uint8_t* cursor = der.data();
  if (i2d_ECDSA_SIG(signature.get(), &cursor) != length) return std::nullopt;
  return der;
}

// RFC 7518 section 3.5: MGF1 with the same hash, a salt as long as the hash.
bool set_signature(EVP_PKEY_CTX* context, const SignRow& row) {
  const EVP_MD* digest = digest_algorithm(row.digest);
  if (EVP_PKEY_CTX_set_signature_md(context, digest) != 1) return false;
  if (row.family == Family::ecdsa) return true;
  if (row.family == Family::rsa_pkcs1) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool set_padding(EVP_PKEY_CTX* context, const CryptRow& row) {
  if (EVP_PKEY_CTX_set_rsa_padding(context, row.padding) != 1) return false;
  if (row.padding != RSA_PKCS1_OAEP_PADDING) return true;
  const EVP_MD* digest = digest_algorithm(row.digest);
  return EVP_PKEY_CTX_set_rsa_oaep_md(context, digest) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1;
}

Result<Bytes> mac(const SignRow& row, const Secret& key, ByteView value, const ErrorQueue& errors) {
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

Result<Bytes> rsa_encrypt(const CryptRow& row, EVP_PKEY* key, ByteView plaintext) {
  const ErrorQueue errors;
  const size_t modulus = static_cast<size_t>(EVP_PKEY_get_size(key));
  const size_t overhead = row.padding == RSA_PKCS1_PADDING        ? 11
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
Result<Secret> rsa_decrypt(const CryptRow& row, EVP_PKEY* key, ByteView ciphertext) {
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

Result<void> require_private(const KeyMaterial& key) {
  if (key.is_private()) return {};
  return bad(
      "The key was imported without its private half: it verifies, encrypts and wraps, and nothing else.");
}

Result<AesMode> aes_mode(std::string_view name, const KeyMaterial& key) {
  const auto algorithm = aes_algorithm(name);
  if (!algorithm) return bad("The algorithm " + quoted(name) + " is not known, or does not fit this key.");
  if (algorithm->key_bytes != 0 && key.bits() != algorithm->key_bytes * 8)
    return bad("The algorithm " + quoted(name) + " takes a key of " +
               std::to_string(algorithm->key_bytes * 8) + " bits; this one has " +
               std::to_string(key.bits()) + ".");
  return algorithm->mode;
}

}  // namespace

Result<Bytes> KeyMaterial::sign(std::string_view algorithm, ByteView digest) const {
  TRY(require_private(*this));
  const SignRow& row = *TRY(sign_row(algorithm, *this, digest));
  const ErrorQueue errors;
  if (row.family == Family::hmac) return mac(row, octets_, digest, errors);
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_pkey(nullptr, pair_.get(), nullptr));
  if (!context || EVP_PKEY_sign_init(context.get()) != 1 || !set_signature(context.get(), row))
    return errors.failure("cannot prepare a signature");
  Bytes out(static_cast<size_t>(EVP_PKEY_get_size(pair_.get())));
  size_t size = out.size();
  if (EVP_PKEY_sign(context.get(), out.data(), &size, digest.data(), digest.size()) != 1)
    return errors.failure("cannot sign");
  out.resize(size);
  if (row.family != Family::ecdsa) return out;
  auto raw = raw_of_der(out, scalar_bytes(row.curve));
  if (!raw) return errors.failure("cannot read back an ECDSA signature");
  return *std::move(raw);
}

Result<bool> KeyMaterial::verify(std::string_view algorithm, ByteView digest, ByteView signature) const {
  const SignRow& row = *TRY(sign_row(algorithm, *this, digest));
  const ErrorQueue errors;
  if (row.family == Family::hmac)
    return constant_time_equal(TRY(mac(row, octets_, digest, errors)), signature);
  Bytes der;
  if (row.family == Family::ecdsa) {
    auto converted = der_of_raw(signature, scalar_bytes(row.curve));
    if (!converted) return false;
    der = *std::move(converted);
    signature = der;
  }
  if (signature.empty()) return false;
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_pkey(nullptr, pair_.get(), nullptr));
  if (!context || EVP_PKEY_verify_init(context.get()) != 1 || !set_signature(context.get(), row))
    return errors.failure("cannot prepare a verification");
  return EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.data(), digest.size()) ==
         1;
}

Result<Encrypted> KeyMaterial::encrypt(const EncryptParameters& parameters, ByteView plaintext,
                                       Random& random) const {
  if (kind_ == MaterialKind::oct)
    return aes_encrypt(TRY(aes_mode(parameters.algorithm, *this)), octets_, parameters, plaintext, random);
  const CryptRow& row = *TRY(crypt_row(parameters.algorithm, *this));
  if (!parameters.iv.empty() || !parameters.aad.empty()) return bad("RSA takes neither iv nor aad.");
  return Encrypted{TRY(rsa_encrypt(row, pair_.get(), plaintext)), {}, {}};
}

Result<Secret> KeyMaterial::decrypt(const DecryptParameters& parameters, ByteView ciphertext) const {
  TRY(require_private(*this));
  if (kind_ == MaterialKind::oct)
    return aes_decrypt(TRY(aes_mode(parameters.algorithm, *this)), octets_, parameters, ciphertext);
  const CryptRow& row = *TRY(crypt_row(parameters.algorithm, *this));
  if (!parameters.iv.empty() || !parameters.aad.empty() || !parameters.tag.empty())
    return bad("RSA takes neither iv nor aad nor tag.");
  return rsa_decrypt(row, pair_.get(), ciphertext);
}

Result<Bytes> KeyMaterial::wrap(std::string_view algorithm, ByteView key) const {
  if (kind_ == MaterialKind::oct) return aes_wrap(TRY(aes_mode(algorithm, *this)), octets_, key);
  return rsa_encrypt(*TRY(crypt_row(algorithm, *this)), pair_.get(), key);
}

Result<Secret> KeyMaterial::unwrap(std::string_view algorithm, ByteView wrapped) const {
  TRY(require_private(*this));
  if (kind_ == MaterialKind::oct) return aes_unwrap(TRY(aes_mode(algorithm, *this)), octets_, wrapped);
  return rsa_decrypt(*TRY(crypt_row(algorithm, *this)), pair_.get(), wrapped);
}

}  // namespace merlon::crypto
