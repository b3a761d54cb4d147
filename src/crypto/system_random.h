// The operating system's randomness through OpenSSL. Ends the process when there is none: nothing can go on
// without.
#pragma once

#include "base/random.h"

namespace merlon::crypto {

class SystemRandom final : public Random {
 public:
  void fill(std::span<uint8_t> out) override;
};

}  // namespace merlon::crypto
