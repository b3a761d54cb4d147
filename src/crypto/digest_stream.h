// SHA-256 of what comes in parts (FIPS 180-4), for things too large to hold. Not thread-safe.
#pragma once

#include <memory>

#include "crypto/digest.h"

namespace merlon::crypto {

class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void add(ByteView part);
  Sha256Digest finish();  // once; nothing may be added after it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace merlon::crypto
