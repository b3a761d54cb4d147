// ASCII text without locale.
#include "base/text.h"

#include <algorithm>
#include <cstdint>

#include "base/text_runs.h"

namespace merlon {

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = ascii_lower(c);
  return out;
}

bool ascii_iequal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  return true;
}

bool ascii_istarts_with(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && ascii_iequal(text.substr(0, prefix.size()), prefix);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  parts.reserve(static_cast<size_t>(std::count(text.begin(), text.end(), separator)) + 1);
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (&part != &parts.front()) out += separator;
    out += part;
  }
  return out;
}

bool is_utf8(std::string_view text) {
  // Nearly all text is ASCII: seen at once, many bytes at a time.
  unsigned seen = 0;
  for (const char c : text) seen |= static_cast<uint8_t>(c);
  if (seen < 0x80) return true;
  size_t i = 0;
  while (i < text.size()) {
    while (i + 8 <= text.size() && (eight_bytes(text.data() + i) & runs::kHighs) == 0) i += 8;
    if (i == text.size()) break;
    const auto lead = static_cast<uint8_t>(text[i]);
    size_t length = 1;
    uint32_t minimum = 0;
    uint32_t code = lead;
    if (lead >= 0xf0 && lead <= 0xf4) {
      length = 4, minimum = 0x10000, code = lead & 0x07U;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      length = 3, minimum = 0x800, code = lead & 0x0fU;
    } else if (lead >= 0xc2 && lead <= 0xdf) {
      length = 2, minimum = 0x80, code = lead & 0x1fU;
    } else if (lead >= 0x80) {
      return false;
    }
    if (i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xc0U) != 0x80) return false;
      code = (code << 6) | (next & 0x3fU);
    }
    if (code < minimum || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    i += length;
  }
  return true;
}

}  // namespace merlon
