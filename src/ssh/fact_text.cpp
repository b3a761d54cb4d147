// Cut where characters end.
#include "ssh/fact_text.h"

#include "base/utf8.h"

namespace merlon::ssh {
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
