// Reading and writing of RFC 4251 section 5.
#include "ssh/wire.h"

namespace merlon::ssh {

ByteView WireReader::fail() {
  failed_ = true;
  rest_ = {};
  return {};
}

ByteView WireReader::raw(size_t count) {
  if (failed_ || count > rest_.size()) return fail();
  const ByteView taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

uint8_t WireReader::byte() {
  const ByteView taken = raw(1);
  return taken.empty() ? 0 : taken[0];
}

uint32_t WireReader::number32() {
  uint32_t value = 0;
  for (const uint8_t each : raw(4)) value = value << 8 | each;
  return value;
}

uint64_t WireReader::number64() {
  const uint64_t high = number32();
  return high << 32 | number32();
}

ByteView WireReader::string(size_t bytes_max) {
  const uint32_t size = number32();
  if (failed_ || size > bytes_max) return fail();
  return raw(size);
}

WireWriter& WireWriter::byte(uint8_t value) {
  bytes_.push_back(value);
  return *this;
}

WireWriter& WireWriter::number32(uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) bytes_.push_back(static_cast<uint8_t>(value >> shift));
  return *this;
}

WireWriter& WireWriter::number64(uint64_t value) {
  number32(static_cast<uint32_t>(value >> 32));
  return number32(static_cast<uint32_t>(value));
}

WireWriter& WireWriter::string(ByteView bytes) {
  number32(static_cast<uint32_t>(bytes.size()));
  return raw(bytes);
}

WireWriter& WireWriter::raw(ByteView bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  return *this;
}

}  // namespace merlon::ssh
