// OpenSSL's private generator, seeded from getrandom(2).
#include "crypto/system_random.h"

#include <openssl/rand.h>

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/result.h"
#include "base/wipe.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

// For ids and salts (keys are longer), of which a request takes several: a call of the generator costs the
// same for 16 bytes as for hundreds. What is handed out is here no more, and a process that was forked makes
// its own.
class Pool {
 public:
  ~Pool() { wipe(bytes_.data(), bytes_.size()); }
  static constexpr size_t kTakenMax = 16;
  void take(std::span<uint8_t> out) {
    const pid_t process = ::getpid();
    if (left_ < out.size() || process != process_) {
      MERLON_CHECK(RAND_priv_bytes(bytes_.data(), static_cast<int>(bytes_.size())) == 1);
      left_ = bytes_.size();
      process_ = process;
    }
    uint8_t* const first = bytes_.data() + left_ - out.size();
    std::copy_n(first, out.size(), out.begin());
    wipe(first, out.size());
    left_ -= out.size();
  }

 private:
  std::array<uint8_t, 512> bytes_{};
  size_t left_ = 0;
  pid_t process_ = 0;
};

}  // namespace

void SystemRandom::fill(std::span<uint8_t> out) {
  if (out.size() <= Pool::kTakenMax) {
    thread_local Pool pool;
    return pool.take(out);
  }
  const ErrorQueue errors;
  constexpr size_t kChunk = 1U << 20;  // RAND_priv_bytes counts in int
  while (!out.empty()) {
    const size_t count = std::min(out.size(), kChunk);
    MERLON_CHECK(RAND_priv_bytes(out.data(), static_cast<int>(count)) == 1);
    out = out.subspan(count);
  }
}

}  // namespace merlon::crypto
