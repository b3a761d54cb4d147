// How far text goes on without certain bytes, looked at eight bytes at a time: what is written many megabytes
// a second (recordings of terminals, JSON) is mostly text that needs nothing done to it.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace merlon {

// Eight bytes, the first of them lowest. There must be as many.
inline uint64_t eight_bytes(const char* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return std::endian::native == std::endian::little ? word : std::byteswap(word);
}

namespace runs {

inline constexpr uint64_t kOnes = 0x0101010101010101U;
inline constexpr uint64_t kHighs = 0x8080808080808080U;

// Each of these has the highest bit of the first byte that is one set, and none before it; after that one
// they may err (Mycroft's test for zero bytes, as in Anderson's "Bit Twiddling Hacks").
constexpr uint64_t below(uint64_t word, uint8_t bound) { return (word - kOnes * bound) & ~word & kHighs; }
constexpr uint64_t equal(uint64_t word, uint8_t byte) { return below(word ^ (kOnes * byte), 1); }

template <class Marks>
size_t until(std::string_view text, const Marks& marks) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8)
    if (const uint64_t found = marks(eight_bytes(text.data() + i)))
      return i + static_cast<size_t>(std::countr_zero(found)) / 8;
  if (i == text.size()) return i;
  char rest[8] = {'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x'};
  std::memcpy(rest, text.data() + i, text.size() - i);
  const uint64_t found = marks(eight_bytes(rest));
  return found == 0 ? text.size() : i + static_cast<size_t>(std::countr_zero(found)) / 8;
}

}  // namespace runs

// The length of the text before the first byte that JSON has an escape for (RFC 8259 section 7): a control
// character, '"' or '\'.
inline size_t run_without_escapes(std::string_view text) {
  return runs::until(text, [](uint64_t word) {
    return runs::below(word, 0x20) | runs::equal(word, '"') | runs::equal(word, '\\');
  });
}

// … before the first control character of ASCII, DEL among them.
inline size_t run_without_controls(std::string_view text) {
  return runs::until(text, [](uint64_t word) { return runs::below(word, 0x20) | runs::equal(word, 0x7f); });
}

// Eight bytes as above with capital letters of ASCII made small.
constexpr uint64_t ascii_lower8(uint64_t word) {
  const uint64_t low = word & ~runs::kHighs;
  const uint64_t from_a = low + runs::kOnes * (0x80 - 'A');
  const uint64_t after_z = low + runs::kOnes * (0x7f - 'Z');
  const uint64_t capital = from_a & ~after_z & ~word & runs::kHighs;
  return word | (capital >> 2U);
}

}  // namespace merlon
