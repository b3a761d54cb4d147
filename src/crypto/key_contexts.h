// OpenSSL's contexts for one key, kept with it: to make one, and to tell it its digest and padding, takes a
// sixth of a signature by P-256. Not for other rooms.
#pragma once

#include <mutex>
#include <vector>

#include "crypto/key_algorithms.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {

enum class ContextUse { sign, verify };

// A context is one caller's at a time, and keeps nothing of what it was used for: what one signature needs of
// another's is digest and padding, which are the same, and a salt or nonce is drawn for each
// (EVP_PKEY_sign(3): "can be called more than once on the same context"). One whose use has failed is not
// kept. They refer to the key, and go when the last value goes that shares it. Thread-safe.
class KeyContexts {
 public:
  // `algorithm` is a row of a table that does not move: with the use it says all that a context was told.
  KeyContextHandle take(ContextUse use, const SignAlgorithm& algorithm);  // nothing when none waits
  void keep(ContextUse use, const SignAlgorithm& algorithm, KeyContextHandle context);

 private:
  static constexpr size_t kWaitingMax = 16;  // more threads than compute at once
  struct Waiting {
    ContextUse use;
    const SignAlgorithm* algorithm;
    KeyContextHandle context;
  };
  std::mutex mutex_;
  std::vector<Waiting> waiting_;  // the one that was used last is at the end
};

}  // namespace merlon::crypto
