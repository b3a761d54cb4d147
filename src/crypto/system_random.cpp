// OpenSSL's private generator, seeded from getrandom(2).
#include "crypto/system_random.h"

#include <openssl/rand.h>

#include <algorithm>

#include "base/result.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {

void SystemRandom::fill(std::span<uint8_t> out) {
  const ErrorQueue errors;
  constexpr size_t kChunk = 1U << 20;  // RAND_priv_bytes counts in int
  while (!out.empty()) {
    const size_t count = std::min(out.size(), kChunk);
    MERLON_CHECK(RAND_priv_bytes(out.data(), static_cast<int>(count)) == 1);
    out = out.subspan(count);
  }
}

}  // namespace merlon::crypto
