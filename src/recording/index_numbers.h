// Numbers in the files by which recordings are searched: little-endian, of as many bytes as they are written
// with.
#pragma once

#include "base/bytes.h"

namespace merlon::recording {

inline void put_number(Bytes& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

// The caller has seen that so many are there.
inline uint64_t number_at(ByteView bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= static_cast<uint64_t>(bytes[at + i]) << (8 * i);
  return value;
}

}  // namespace merlon::recording
