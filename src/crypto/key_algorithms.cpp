// Three tables and the questions asked of them.
#include "crypto/key_algorithms.h"

#include <array>

namespace merlon::crypto {
namespace {

constexpr size_t kMacInputMax = 64 * 1024;

constexpr std::array<SignAlgorithm, 13> kSigns = {
    {{"RS256", SignFamily::rsa_pkcs1, DigestAlgorithm::sha256, 32, ""},
     {"RS384", SignFamily::rsa_pkcs1, DigestAlgorithm::sha384, 48, ""},
     {"RS512", SignFamily::rsa_pkcs1, DigestAlgorithm::sha512, 64, ""},
     {"PS256", SignFamily::rsa_pss, DigestAlgorithm::sha256, 32, ""},
     {"PS384", SignFamily::rsa_pss, DigestAlgorithm::sha384, 48, ""},
     {"PS512", SignFamily::rsa_pss, DigestAlgorithm::sha512, 64, ""},
     {"ES256", SignFamily::ecdsa, DigestAlgorithm::sha256, 32, "P-256"},
     {"ES384", SignFamily::ecdsa, DigestAlgorithm::sha384, 48, "P-384"},
     {"ES512", SignFamily::ecdsa, DigestAlgorithm::sha512, 64, "P-521"},
     {"ES256K", SignFamily::ecdsa, DigestAlgorithm::sha256, 32, "P-256K"},
     {"HS256", SignFamily::hmac, DigestAlgorithm::sha256, 32, ""},
     {"HS384", SignFamily::hmac, DigestAlgorithm::sha384, 48, ""},
     {"HS512", SignFamily::hmac, DigestAlgorithm::sha512, 64, ""}}};

constexpr std::array<CryptAlgorithm, 3> kCrypts = {
    {{"RSA-OAEP", RsaPadding::oaep, DigestAlgorithm::sha1},
     {"RSA-OAEP-256", RsaPadding::oaep, DigestAlgorithm::sha256},
     {"RSA1_5", RsaPadding::pkcs1, DigestAlgorithm::sha1}}};

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

// Their text, in ours: bounded and printable.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 32)) out += c > 0x20 && c < 0x7f ? c : '?';
  return out + "'";
}

MaterialKind kind_for(SignFamily family) {
  if (family == SignFamily::hmac) return MaterialKind::oct;
  return family == SignFamily::ecdsa ? MaterialKind::ec : MaterialKind::rsa;
}

}  // namespace

Result<const SignAlgorithm*> sign_algorithm(std::string_view name, const KeyShape& key, ByteView digest) {
  for (const SignAlgorithm& row : kSigns) {
    if (row.name != name) continue;
    if (kind_for(row.family) != key.kind || (!row.curve.empty() && key.curve != row.curve))
      return bad("The algorithm " + quoted(name) + " does not fit this key.");
    if (row.family == SignFamily::hmac) {
      if (digest.size() > kMacInputMax) return bad("The value exceeds 64 KiB.");
    } else if (digest.size() != row.digest_bytes) {
      return bad("The value must be the digest that " + std::string(name) + " takes, of " +
                 std::to_string(row.digest_bytes) + " bytes; it has " + std::to_string(digest.size()) + ".");
    }
    return &row;
  }
  return bad("The signature algorithm " + quoted(name) + " is not known.");
}

Result<const CryptAlgorithm*> crypt_algorithm(std::string_view name, const KeyShape& key) {
  for (const CryptAlgorithm& row : kCrypts) {
    if (row.name != name) continue;
    if (key.kind != MaterialKind::rsa) return bad("The algorithm " + quoted(name) + " takes an RSA key.");
    return &row;
  }
  return bad("The algorithm " + quoted(name) + " is not known, or does not fit this key.");
}

Result<AesMode> aes_mode(std::string_view name, const KeyShape& key) {
  const auto algorithm = aes_algorithm(name);
  if (!algorithm) return bad("The algorithm " + quoted(name) + " is not known, or does not fit this key.");
  if (algorithm->key_bytes != 0 && key.bits != algorithm->key_bytes * 8)
    return bad("The algorithm " + quoted(name) + " takes a key of " +
               std::to_string(algorithm->key_bytes * 8) + " bits; this one has " + std::to_string(key.bits) +
               ".");
  return algorithm->mode;
}

size_t scalar_bytes(std::string_view curve) { return curve == "P-384" ? 48 : curve == "P-521" ? 66 : 32; }

}  // namespace merlon::crypto
