// Attribute names and values for conditions.
#include "access/attributes.h"

#include "base/text.h"

namespace merlon::access {

std::string attribute_key(std::string_view name) {
  std::string key = ascii_lower(name);
  const size_t mark = key.find("<$key_case_sensitive$>");
  if (mark == std::string::npos) return key;
  const size_t colon = key.rfind(':', mark);
  const size_t begin = colon == std::string::npos ? 0 : colon + 1;
  for (size_t i = begin; i < mark; ++i) key[i] = name[i];
  return key;
}

void Attributes::set(std::string_view name, std::vector<std::string> values) {
  values_.insert_or_assign(attribute_key(name), std::move(values));
}

void Attributes::set(std::string_view name, std::string value) {
  set(name, std::vector<std::string>{std::move(value)});
}

const std::vector<std::string>* Attributes::find(std::string_view name) const {
  const auto found = values_.find(attribute_key(name));
  return found == values_.end() ? nullptr : &found->second;
}

}  // namespace merlon::access
