// UUID text and version 4 generation.
#include "base/uuid.h"

#include <array>
#include <cstdint>

#include "base/random.h"

namespace merlon {

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i] >= 'A' && text[i] <= 'F' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (dash ? c != '-' : !hex) return std::nullopt;
    uuid.text_[i] = c;
  }
  return uuid;
}

Uuid Uuid::generate(Random& random) {
  std::array<uint8_t, 16> bytes{};
  random.fill(bytes);
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  constexpr std::string_view kDigits = "0123456789abcdef";
  Uuid uuid;  // whose dashes stand where they are to stay
  char* at = uuid.text_.data();
  for (const uint8_t byte : bytes) {
    if (*at == '-') ++at;  // a dash never parts the two digits of a byte
    *at++ = kDigits[byte >> 4];
    *at++ = kDigits[byte & 15];
  }
  return uuid;
}

}  // namespace merlon
