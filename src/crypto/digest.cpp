// One-shot digests and HMAC. Their only way to fail is an OpenSSL without SHA-2, which is no state to go on
// in.
#include "crypto/digest.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <memory>
#include <string>

#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// A context of each thread's own: to make one for each digest costs as much as the digest of a short text. It
// keeps nothing of what was digested: OpenSSL cleanses its block at the end.
void digest_into(DigestAlgorithm algorithm, ByteView data, std::span<uint8_t> out) {
  thread_local const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  unsigned size = 0;
  MERLON_CHECK(context != nullptr &&
               EVP_DigestInit_ex2(context.get(), digest_algorithm(algorithm), nullptr) == 1 &&
               EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1 &&
               EVP_DigestFinal_ex(context.get(), out.data(), &size) == 1);
  MERLON_CHECK(size == out.size());
}

Bytes hmac(const char* digest, size_t digest_size, ByteView key, ByteView data) {
  const ErrorQueue errors;
  static const MacHandle mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  MERLON_CHECK(mac != nullptr);
  const MacContextHandle context(EVP_MAC_CTX_new(mac.get()));
  MERLON_CHECK(context != nullptr);
  std::string digest_name = digest;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name.data(), 0),
                               OSSL_PARAM_construct_end()};
  // A null key means "the one set before" to EVP_MAC_init, so an empty one needs an address too.
  const uint8_t nothing = 0;
  const uint8_t* key_data = key.empty() ? &nothing : key.data();
  MERLON_CHECK(EVP_MAC_init(context.get(), key_data, key.size(), params) == 1);
  MERLON_CHECK(EVP_MAC_update(context.get(), data.data(), data.size()) == 1);
  Bytes out(digest_size);
  size_t size = 0;
  MERLON_CHECK(EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1 && size == out.size());
  return out;
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

Bytes hmac_sha256(ByteView key, ByteView data) { return hmac("SHA256", 32, key, data); }

Bytes hmac_sha1(ByteView key, ByteView data) { return hmac("SHA1", 20, key, data); }

}  // namespace merlon::crypto
