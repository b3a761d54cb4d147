// Any bytes as text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace merlon {

// How many bytes the UTF-8 sequence that `lead` begins has; 0 when none begins so (RFC 3629).
size_t utf8_length(uint8_t lead);
// Well-formed: what is not becomes U+FFFD, byte by byte.
std::string with_replacements(std::string_view bytes);
// How much of well-formed `text` is at most `bytes_max` bytes and ends with a character.
size_t whole_characters(std::string_view text, size_t bytes_max);

}  // namespace merlon
