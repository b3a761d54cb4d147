// Overwriting memory that nobody will read again, which a compiler that knows as much leaves out.
#pragma once

#include <cstddef>
#include <cstring>

namespace merlon {

// Exactly `size` bytes, which may be none. In line: most of what is wiped is a few words long, and is wiped a
// hundred times in a request. Stores of a fixed length are single instructions, and may overlap.
inline void wipe(void* memory, size_t size) noexcept {
  auto* const first = static_cast<unsigned char*>(memory);
  constexpr size_t kBlock = 16;
  if (size >= kBlock && size <= 8 * kBlock) {
    unsigned char* const last = first + size - kBlock;
    for (unsigned char* at = first; at < last; at += kBlock) {
      std::memset(at, 0, kBlock);
      asm volatile("" : : "r"(at) : "memory");  // else the loop becomes a call again
    }
    std::memset(last, 0, kBlock);
  } else if (size != 0) {
    std::memset(first, 0, size);
  }
  // Somebody might look at it here: so the stores are made.
  asm volatile("" : : "r"(memory) : "memory");
}

}  // namespace merlon
