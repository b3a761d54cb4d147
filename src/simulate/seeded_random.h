// Chance from a seed: the same on every machine and in every build, so that a history can be told by its
// number alone. SplitMix64 (Steele, Lea, Flood 2014): not for secrets, which a simulation has none of.
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace merlon::simulate {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}

  void fill(std::span<uint8_t> out) override {
    uint64_t word = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) word = next();
      out[i] = static_cast<uint8_t>(word >> (8 * (i % 8)));
    }
  }
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  size_t below(size_t bound) { return static_cast<size_t>(next() % bound); }
  bool chance(unsigned in_thousand) { return below(1000) < in_thousand; }
  Duration between(Duration least, Duration most) {
    return least + Duration(static_cast<int64_t>(below(static_cast<size_t>((most - least).count()) + 1)));
  }
  template <class T>
  const T& pick(const std::vector<T>& values) {
    return values[below(values.size())];
  }

 private:
  uint64_t state_;
};

}  // namespace merlon::simulate
