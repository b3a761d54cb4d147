// SHA-2 by its name in test vectors.
#pragma once

#include <string>

#include "crypto/openssl_handles.h"

namespace merlon::crypto::testing {

inline Bytes digest(const std::string& sha, ByteView message) {
  const auto algorithm = sha == "SHA-256"   ? DigestAlgorithm::sha256
                         : sha == "SHA-384" ? DigestAlgorithm::sha384
                                            : DigestAlgorithm::sha512;
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  MERLON_CHECK(EVP_Digest(message.data(), message.size(), out.data(), &size, digest_algorithm(algorithm),
                          nullptr) == 1);
  out.resize(size);
  return out;
}

}  // namespace merlon::crypto::testing
