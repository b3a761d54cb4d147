// Randomness behind an interface: crypto/system_random.h in the product, a seeded one in tests and the
// simulator.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace merlon {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<uint8_t> out) = 0;  // cannot fail; thread-safe
  Bytes bytes(size_t count) {
    Bytes out(count);
    fill(out);
    return out;
  }
};

}  // namespace merlon
