// Asymmetric keys: making, reading, writing, signing, verifying.
#include "crypto/own_key.h"

#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>

#include "crypto/digest.h"
#include "crypto/ecdsa_form.h"
#include "crypto/key_numbers.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

using DecoderHandle = std::unique_ptr<OSSL_DECODER_CTX, FreeWith<OSSL_DECODER_CTX_free>>;

constexpr size_t kKeyBytesMax = 16 * 1024;
constexpr int kRsaBitsMin = 2048;  // NIST SP 800-131A
constexpr int kRsaBitsMax = 8192;  // beyond this, one verification is a way to keep a server busy

enum class Family { rsa_pkcs1, rsa_pss, ecdsa, eddsa };

struct AlgorithmRow {
  SignatureAlgorithm algorithm;
  std::string_view name;
  Family family;
  DigestAlgorithm digest;  // not used by eddsa
  KeyKind key;
};

// RFC 7518 section 3.1 and RFC 8037 section 3.1. Each ES* belongs to one curve (RFC 7518 section 3.4).
constexpr std::array<AlgorithmRow, 10> kAlgorithms = {{
    {SignatureAlgorithm::rs256, "RS256", Family::rsa_pkcs1, DigestAlgorithm::sha256, KeyKind::rsa},
    {SignatureAlgorithm::rs384, "RS384", Family::rsa_pkcs1, DigestAlgorithm::sha384, KeyKind::rsa},
    {SignatureAlgorithm::rs512, "RS512", Family::rsa_pkcs1, DigestAlgorithm::sha512, KeyKind::rsa},
    {SignatureAlgorithm::ps256, "PS256", Family::rsa_pss, DigestAlgorithm::sha256, KeyKind::rsa},
    {SignatureAlgorithm::ps384, "PS384", Family::rsa_pss, DigestAlgorithm::sha384, KeyKind::rsa},
    {SignatureAlgorithm::ps512, "PS512", Family::rsa_pss, DigestAlgorithm::sha512, KeyKind::rsa},
    {SignatureAlgorithm::es256, "ES256", Family::ecdsa, DigestAlgorithm::sha256, KeyKind::ec_p256},
    {SignatureAlgorithm::es384, "ES384", Family::ecdsa, DigestAlgorithm::sha384, KeyKind::ec_p384},
    {SignatureAlgorithm::es512, "ES512", Family::ecdsa, DigestAlgorithm::sha512, KeyKind::ec_p521},
    {SignatureAlgorithm::eddsa, "EdDSA", Family::eddsa, DigestAlgorithm::sha512, KeyKind::ed25519},
}};

const AlgorithmRow& row_of(SignatureAlgorithm algorithm) {
  const AlgorithmRow& row = kAlgorithms[static_cast<size_t>(algorithm)];
  MERLON_CHECK(row.algorithm == algorithm);
  return row;
}

// Bytes of r and of s in a raw ECDSA signature (RFC 7518 section 3.4).
size_t ec_scalar_bytes(KeyKind kind) {
  switch (kind) {
    case KeyKind::ec_p256:
      return 32;
    case KeyKind::ec_p384:
      return 48;
    case KeyKind::ec_p521:
      return 66;
    case KeyKind::rsa:
    case KeyKind::ed25519:
      break;
  }
  return 0;
}

const EVP_MD* digest_for(const AlgorithmRow& row) {
  return row.family == Family::eddsa ? nullptr : digest_algorithm(row.digest);
}

// RFC 7518 section 3.5: MGF1 with the same hash, a salt as long as the hash.
bool set_padding(EVP_PKEY_CTX* context, const AlgorithmRow& row) {
  if (row.family == Family::rsa_pkcs1) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  if (row.family != Family::rsa_pss) return true;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest_algorithm(row.digest)) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

std::unexpected<Error> bad_key(std::string_view what, std::string_view why) {
  return fail(
      ErrorKind::invalid, "BadParameter",
      std::string(what) + " cannot be used: " + std::string(why) +
          ". Give an RSA key of 2048 to 8192 bits, an EC key on P-256, P-384 or P-521, or an Ed25519 key.");
}

// An explicit spelling of a curve's parameters has been a way to smuggle in another generator
// (CVE-2020-0601).
bool names_its_curve(const EVP_PKEY* key) {
  std::array<char, 32> encoding{};
  size_t size = 0;
  return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding.data(), encoding.size(),
                                        &size) == 1 &&
         std::string_view(encoding.data(), size) == OSSL_PKEY_EC_ENCODING_GROUP;
}

enum class Half { public_only, both };

Result<KeyHandle> check_key(KeyHandle key, Half half, std::string_view what) {
  const auto kind = key_kind(key.get());
  if (!kind) return bad_key(what, "it is of another kind");
  const int bits = EVP_PKEY_get_bits(key.get());
  if (*kind == KeyKind::rsa && (bits < kRsaBitsMin || bits > kRsaBitsMax))
    return bad_key(what, "RSA of " + std::to_string(bits) + " bits");
  if (ec_scalar_bytes(*kind) != 0 && !names_its_curve(key.get()))
    return bad_key(what, "it spells its curve out instead of naming it");
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!context || EVP_PKEY_public_check(context.get()) != 1)
    return bad_key(what, "its numbers are not those of a key");
  if (half == Half::both && !has_sound_numbers(key.get()))
    return bad_key(what, "its numbers are not those of an RSA key with two primes of the same size");
  if (half == Half::both && EVP_PKEY_pairwise_check(context.get()) != 1)
    return bad_key(what, "its private and public halves do not belong together");
  return key;
}

Result<PrivateKey> adopt_private_key(KeyHandle handle) {
  return PrivateKey(TRY(check_key(std::move(handle), Half::both, "The private key")));
}

std::string bio_text(BIO* bio) { return std::string(as_text(take_bytes(bio))); }

}  // namespace

std::optional<KeyKind> key_kind(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) return KeyKind::rsa;
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return KeyKind::ed25519;
  if (EVP_PKEY_is_a(key, "EC") != 1) return std::nullopt;
  std::array<char, 64> group{};
  size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size) != 1)
    return std::nullopt;
  const std::string_view name(group.data(), size);
  if (name == "prime256v1" || name == "P-256") return KeyKind::ec_p256;
  if (name == "secp384r1" || name == "P-384") return KeyKind::ec_p384;
  if (name == "secp521r1" || name == "P-521") return KeyKind::ec_p521;
  return std::nullopt;
}

Result<PublicKey> adopt_public_key(KeyHandle handle, std::string_view what) {
  return PublicKey(TRY(check_key(std::move(handle), Half::public_only, what)));
}

std::string_view jose_name(SignatureAlgorithm algorithm) { return row_of(algorithm).name; }

std::optional<SignatureAlgorithm> signature_algorithm_from_jose(std::string_view name) {
  for (const AlgorithmRow& row : kAlgorithms)
    if (row.name == name) return row.algorithm;
  return std::nullopt;
}

Result<PublicKey> PublicKey::from_spki_der(ByteView der) {
  const ErrorQueue errors;
  const uint8_t* cursor = der.data();
  KeyHandle key;
  if (!der.empty() && der.size() <= kKeyBytesMax)
    key.reset(d2i_PUBKEY_ex(nullptr, &cursor, static_cast<long>(der.size()), nullptr, nullptr));
  if (!key || cursor != der.data() + der.size())
    return bad_key("The public key", "it is not the DER form of a SubjectPublicKeyInfo");
  return adopt_public_key(std::move(key), "The public key");
}

Result<PublicKey> PublicKey::from_pem(std::string_view pem) {
  const ErrorQueue errors;
  const BioHandle bio = reader_of(pem, kKeyBytesMax);
  KeyHandle key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!key) return bad_key("The public key", "it is not PEM with a PUBLIC KEY block");
  return adopt_public_key(std::move(key), "The public key");
}

KeyKind PublicKey::kind() const {
  const auto kind = key_kind(handle_.get());
  MERLON_CHECK(kind.has_value());
  return *kind;
}

unsigned PublicKey::bits() const { return static_cast<unsigned>(EVP_PKEY_get_bits(handle_.get())); }

Bytes PublicKey::spki_der() const {
  const ErrorQueue errors;
  const int size = i2d_PUBKEY(handle_.get(), nullptr);
  MERLON_CHECK(size > 0);
  Bytes der(static_cast<size_t>(size));
  uint8_t* cursor = der.data();
  MERLON_CHECK(i2d_PUBKEY(handle_.get(), &cursor) == size);
  return der;
}

std::string PublicKey::pem() const {
  const ErrorQueue errors;
  const BioHandle bio(BIO_new(BIO_s_mem()));
  MERLON_CHECK(bio && PEM_write_bio_PUBKEY(bio.get(), handle_.get()) == 1);
  return bio_text(bio.get());
}

bool PublicKey::verify(SignatureAlgorithm algorithm, ByteView message, ByteView signature) const {
  const AlgorithmRow& row = row_of(algorithm);
  if (kind() != row.key) return false;
  const ErrorQueue errors;
  Bytes der;
  if (row.family == Family::ecdsa) {
    auto converted = ecdsa_der_of_raw(signature, ec_scalar_bytes(row.key));
    if (!converted) return false;
    der = *std::move(converted);
    signature = der;
  }
  const DigestContextHandle context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;  // belongs to `context`
  return context &&
         EVP_DigestVerifyInit(context.get(), &key_context, digest_for(row), nullptr, handle_.get()) == 1 &&
         set_padding(key_context, row) &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

Result<PrivateKey> PrivateKey::generate(KeyKind kind, unsigned rsa_bits) {
  const ErrorQueue errors;
  KeyHandle key;
  switch (kind) {
    case KeyKind::rsa:
      if (rsa_bits < kRsaBitsMin || rsa_bits > kRsaBitsMax || rsa_bits % 8 != 0)
        return bad_key("An RSA key of " + std::to_string(rsa_bits) + " bits", "its size is not accepted");
      key.reset(EVP_RSA_gen(rsa_bits));
      break;
    case KeyKind::ec_p256:
      key.reset(EVP_EC_gen("P-256"));
      break;
    case KeyKind::ec_p384:
      key.reset(EVP_EC_gen("P-384"));
      break;
    case KeyKind::ec_p521:
      key.reset(EVP_EC_gen("P-521"));
      break;
    case KeyKind::ed25519:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
      break;
  }
  if (!key) return errors.failure("cannot generate a key");
  return PrivateKey(std::move(key));
}

namespace {

// What OpenSSL calls the kind that a PKCS#8 structure names; nullptr for those that are not ours.
const char* kind_in(const PKCS8_PRIV_KEY_INFO* info) {
  const ASN1_OBJECT* kind = nullptr;
  if (PKCS8_pkey_get0(&kind, nullptr, nullptr, nullptr, info) != 1) return nullptr;
  switch (OBJ_obj2nid(kind)) {
    case NID_rsaEncryption:
      return "RSA";
    case NID_X9_62_id_ecPublicKey:
      return "EC";
    case NID_ED25519:
      return "ED25519";
    default:
      return nullptr;
  }
}

// Which kind it is is said beforehand: OpenSSL 3.0 otherwise sets up a decoder of every kind for each key,
// which takes three times as long.
Result<KeyHandle> read_pkcs8(const Secret& der) {
  const ByteView bytes = der.expose();
  const uint8_t* cursor = bytes.data();
  Pkcs8Handle info;
  if (!bytes.empty() && bytes.size() <= kKeyBytesMax)
    info.reset(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &cursor, static_cast<long>(bytes.size())));
  if (!info || cursor != bytes.data() + bytes.size())
    return bad_key("The private key", "it is not the DER form of PKCS#8");
  const char* const kind = kind_in(info.get());
  if (kind == nullptr) return bad_key("The private key", "it is of another kind");
  EVP_PKEY* key = nullptr;
  const DecoderHandle decoder(
      OSSL_DECODER_CTX_new_for_pkey(&key, "DER", "PrivateKeyInfo", kind, EVP_PKEY_KEYPAIR, nullptr, nullptr));
  const uint8_t* input = bytes.data();
  size_t left = bytes.size();
  const bool read = decoder && OSSL_DECODER_from_data(decoder.get(), &input, &left) == 1;
  KeyHandle handle(key);
  if (!read || !handle) return bad_key("The private key", "it is not the DER form of PKCS#8");
  return handle;
}

}  // namespace

Result<PrivateKey> PrivateKey::from_pkcs8_der(const Secret& der) {
  const ErrorQueue errors;
  return adopt_private_key(TRY(read_pkcs8(der)));
}

Result<PrivateKey> read_own_key(const Secret& pkcs8_der) {
  const ErrorQueue errors;
  KeyHandle key = TRY(read_pkcs8(pkcs8_der));
  if (!key_kind(key.get())) return bad_key("The private key", "it is of another kind");
  return PrivateKey(std::move(key));
}

Result<PrivateKey> PrivateKey::from_pem(const Secret& pem) {
  const ErrorQueue errors;
  const BioHandle bio = reader_of(pem.expose_text(), kKeyBytesMax);
  KeyHandle key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!key)
    return bad_key("The private key", "it is not PEM with a PRIVATE KEY block, or it has a passphrase");
  return adopt_private_key(std::move(key));
}

KeyKind PrivateKey::kind() const {
  const auto kind = key_kind(handle_.get());
  MERLON_CHECK(kind.has_value());
  return *kind;
}

Secret PrivateKey::pkcs8_der() const {
  const ErrorQueue errors;
  const Pkcs8Handle info(EVP_PKEY2PKCS8(handle_.get()));
  const int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr) : 0;
  MERLON_CHECK(size > 0);
  Bytes der(static_cast<size_t>(size));
  uint8_t* cursor = der.data();
  MERLON_CHECK(i2d_PKCS8_PRIV_KEY_INFO(info.get(), &cursor) == size);
  return Secret(std::move(der));
}

Secret PrivateKey::pem() const {
  const ErrorQueue errors;
  const BioHandle bio(BIO_new(BIO_s_mem()));  // wipes what it held (BUF_MEM_free)
  MERLON_CHECK(
      bio && PEM_write_bio_PKCS8PrivateKey(bio.get(), handle_.get(), nullptr, nullptr, 0, nullptr, nullptr));
  return Secret(take_bytes(bio.get()));
}

PublicKey PrivateKey::public_key() const {
  // A copy without the private half: a PublicKey must not carry what it does not show. By its numbers: by way
  // of DER, OpenSSL 3.0's decoders take from ten to seventy times as long, for each token that is verified.
  const ErrorQueue errors;
  OSSL_PARAM* numbers = nullptr;
  MERLON_CHECK(EVP_PKEY_todata(handle_.get(), EVP_PKEY_PUBLIC_KEY, &numbers) == 1);
  const ParamsHandle owned(numbers);
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_pkey(nullptr, handle_.get(), nullptr));
  EVP_PKEY* key = nullptr;
  MERLON_CHECK(context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
               EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, owned.get()) == 1);
  return PublicKey(KeyHandle(key));
}

Result<Bytes> PrivateKey::sign(SignatureAlgorithm algorithm, ByteView message) const {
  const AlgorithmRow& row = row_of(algorithm);
  if (kind() != row.key)
    return fail(
        ErrorKind::invalid, "BadParameter",
        "The algorithm " + std::string(row.name) + " does not fit this kind of key. Choose one that does.");
  const ErrorQueue errors;
  const DigestContextHandle context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;  // belongs to `context`
  size_t size = 0;
  if (!context ||
      EVP_DigestSignInit(context.get(), &key_context, digest_for(row), nullptr, handle_.get()) != 1 ||
      !set_padding(key_context, row) ||
      EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) != 1)
    return errors.failure("cannot prepare a signature");
  Bytes signature(size);
  if (EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1)
    return errors.failure("cannot sign");
  signature.resize(size);
  if (row.family != Family::ecdsa) return signature;
  auto raw = ecdsa_raw_of_der(signature, ec_scalar_bytes(row.key));
  if (!raw) return errors.failure("cannot read back an ECDSA signature");
  return *std::move(raw);
}

std::string spki_hash_hex(const PublicKey& key) { return to_hex(sha256(key.spki_der())); }

}  // namespace merlon::crypto
