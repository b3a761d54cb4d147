// Cut where characters end.
#include "ssh/fact_text.h"

#include "base/utf8.h"

namespace merlon::ssh {
namespace {

// How much of well-formed UTF-8 is at most `bytes_max` and ends with a character.
size_t whole_characters(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text.size();
  size_t end = bytes_max;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0U) == 0x80) --end;
  return end;
}

}  // namespace

std::string told_text(std::string_view text) {
  std::string told = with_replacements(text);
  told.resize(whole_characters(told, kFactTextMax));
  return told;
}

std::string fact_text(std::string_view kind, JsonObject facts) {
  for (auto& member : facts)
    if (member.value().is_string()) member.value() = told_text(member.value().get_string());
  facts["kind"] = kind;
  return to_text(facts);
}

std::vector<std::string> fact_parts(std::string_view text) {
  const std::string whole = with_replacements(text);
  std::vector<std::string> parts;
  std::string_view rest = whole;
  do {
    const size_t size = whole_characters(rest, kFactTextMax);
    parts.emplace_back(rest.substr(0, size));
    rest.remove_prefix(size);
  } while (!rest.empty());
  return parts;
}

}  // namespace merlon::ssh
