// Byte by byte.
#include "base/utf8.h"

#include "base/text.h"

namespace merlon {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

size_t utf8_length(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

std::string with_replacements(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    const size_t length = utf8_length(static_cast<uint8_t>(bytes[i]));
    if (length > 0 && i + length <= bytes.size() && is_utf8(bytes.substr(i, length))) {
      text.append(bytes.substr(i, length));
      i += length;
    } else {
      text.append(kReplacement);
      ++i;
    }
  }
  return text;
}

size_t whole_characters(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text.size();
  size_t end = bytes_max;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0U) == 0x80) --end;
  return end;
}

}  // namespace merlon
