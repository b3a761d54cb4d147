// SSH's own way of writing things down (RFC 4251 section 5): numbers, strings and big integers, read strictly
// and within bounds. A reader that has failed stays failed, so a whole structure is read and asked about
// once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace merlon::ssh {

class WireReader {
 public:
  explicit WireReader(ByteView bytes) : rest_(bytes) {}
  uint8_t byte();
  uint32_t number32();
  uint64_t number64();
  ByteView string(size_t bytes_max = 64 * 1024);  // the bytes stay the caller's
  std::string text(size_t bytes_max = 64 * 1024) { return std::string(as_text(string(bytes_max))); }
  ByteView raw(size_t count);
  ByteView rest() const { return rest_; }
  bool failed() const { return failed_; }
  bool at_end() const { return !failed_ && rest_.empty(); }

 private:
  ByteView fail();
  ByteView rest_;
  bool failed_ = false;
};

class WireWriter {
 public:
  WireWriter& byte(uint8_t value);
  WireWriter& number32(uint32_t value);
  WireWriter& number64(uint64_t value);
  WireWriter& string(ByteView bytes);
  WireWriter& string(std::string_view text) { return string(as_bytes(text)); }
  WireWriter& raw(ByteView bytes);
  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

}  // namespace merlon::ssh
