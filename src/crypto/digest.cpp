// One-shot digests and HMAC. Their only way to fail is an OpenSSL without SHA-2, which is no state to go on
// in.
#include "crypto/digest.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

void digest_into(DigestAlgorithm algorithm, ByteView data, std::span<uint8_t> out) {
  const ErrorQueue errors;
  unsigned size = 0;
  MERLON_CHECK(
      EVP_Digest(data.data(), data.size(), out.data(), &size, digest_algorithm(algorithm), nullptr) == 1);
  MERLON_CHECK(size == out.size());
}

}  // namespace

Sha256Digest sha256(ByteView data) {
  Sha256Digest out{};
  digest_into(DigestAlgorithm::sha256, data, out);
  return out;
}

Bytes sha1(ByteView data) {
  Bytes out(20);
  digest_into(DigestAlgorithm::sha1, data, out);
  return out;
}

Bytes hmac_sha256(ByteView key, ByteView data) {
  const ErrorQueue errors;
  static const MacHandle hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  MERLON_CHECK(hmac != nullptr);
  const MacContextHandle context(EVP_MAC_CTX_new(hmac.get()));
  MERLON_CHECK(context != nullptr);
  char digest_name[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
                               OSSL_PARAM_construct_end()};
  // A null key means "the one set before" to EVP_MAC_init, so an empty one needs an address too.
  const uint8_t nothing = 0;
  const uint8_t* key_data = key.empty() ? &nothing : key.data();
  MERLON_CHECK(EVP_MAC_init(context.get(), key_data, key.size(), params) == 1);
  MERLON_CHECK(EVP_MAC_update(context.get(), data.data(), data.size()) == 1);
  Bytes out(32);
  size_t size = 0;
  MERLON_CHECK(EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1 && size == out.size());
  return out;
}

}  // namespace merlon::crypto
