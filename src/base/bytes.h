// Bytes and their text encodings. Decoders are strict: one accepted spelling per value (RFC 4648
// section 3.5), since a second spelling of a token or a key id is a way around a comparison.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace merlon {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(std::string_view text) { return {text.begin(), text.end()}; }

std::string to_hex(ByteView bytes);                       // lower case
std::optional<Bytes> from_hex(std::string_view text);     // either case, even length
std::string to_base64(ByteView bytes);                    // RFC 4648 section 4, padded
std::optional<Bytes> from_base64(std::string_view text);  // padded, canonical
std::string to_base64url(ByteView bytes);                 // RFC 4648 section 5, unpadded (RFC 7515 section 2)
std::optional<Bytes> from_base64url(std::string_view text);  // unpadded, canonical

// Same time for equal lengths, whatever the contents. Different lengths compare unequal at once.
bool constant_time_equal(ByteView a, ByteView b);

}  // namespace merlon
