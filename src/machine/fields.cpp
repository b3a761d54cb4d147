// The field readers of the agent channel.
#include "machine/fields.h"

#include <fmt/format.h>

#include "base/time_text.h"

namespace merlon::machine {

std::unexpected<Error> wrong_field(std::string_view key, std::string_view expected) {
  return fail(ErrorKind::invalid, "InvalidRequestContent",
              fmt::format("The field '{}' must be {}.", key, expected), std::string(key));
}

Result<std::string> text_field(const JsonObject& json, std::string_view key, size_t length_max) {
  const Json* value = json.if_contains(key);
  if (value == nullptr || !value->is_string()) return wrong_field(key, "a string");
  if (value->get_string().size() > length_max)
    return wrong_field(key, fmt::format("at most {} bytes long", length_max));
  return std::string(value->get_string());
}

Result<std::string> text_field_or_empty(const JsonObject& json, std::string_view key, size_t length_max) {
  if (!json.contains(key)) return std::string();
  return text_field(json, key, length_max);
}

Result<int64_t> int_field(const JsonObject& json, std::string_view key, int64_t minimum, int64_t maximum) {
  const auto value = int_at(json, key);
  if (!value || *value < minimum || *value > maximum)
    return wrong_field(key, fmt::format("an integer from {} to {}", minimum, maximum));
  return *value;
}

Result<bool> bool_field(const JsonObject& json, std::string_view key) {
  const Json* value = json.if_contains(key);
  if (value == nullptr || !value->is_bool()) return wrong_field(key, "true or false");
  return value->get_bool();
}

Result<bool> bool_field_or_false(const JsonObject& json, std::string_view key) {
  if (!json.contains(key)) return false;
  return bool_field(json, key);
}

Result<Timestamp> time_field(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(text_field(json, key, 64)));
  if (!time) return wrong_field(key, "an RFC 3339 time");
  return *time;
}

Result<IpAddress> address_field(const JsonObject& json, std::string_view key) {
  const auto address = IpAddress::parse(TRY(text_field(json, key, 64)));
  if (!address) return wrong_field(key, "an IP address");
  return *address;
}

Result<IpPrefix> prefix_field(const JsonObject& json, std::string_view key) {
  const auto prefix = IpPrefix::parse(TRY(text_field(json, key, 64)));
  if (!prefix) return wrong_field(key, "an IP address or CIDR prefix");
  return *prefix;
}

Result<const JsonObject*> object_field(const JsonObject& json, std::string_view key) {
  const Json* value = json.if_contains(key);
  if (value == nullptr || !value->is_object()) return wrong_field(key, "an object");
  return &value->get_object();
}

Result<std::vector<const JsonObject*>> objects_field(const JsonObject& json, std::string_view key,
                                                     size_t count_max) {
  std::vector<const JsonObject*> objects;
  const Json* value = json.if_contains(key);
  if (value == nullptr) return objects;
  if (!value->is_array() || value->get_array().size() > count_max)
    return wrong_field(key, fmt::format("an array of at most {} objects", count_max));
  for (const Json& element : value->get_array()) {
    if (!element.is_object()) return wrong_field(key, "an array of objects");
    objects.push_back(&element.get_object());
  }
  return objects;
}

Result<std::vector<std::string>> texts_field(const JsonObject& json, std::string_view key, size_t count_max) {
  std::vector<std::string> texts;
  const Json* value = json.if_contains(key);
  if (value == nullptr) return texts;
  if (!value->is_array() || value->get_array().size() > count_max)
    return wrong_field(key, fmt::format("an array of at most {} strings", count_max));
  for (const Json& element : value->get_array()) {
    if (!element.is_string() || element.get_string().size() > kTextMax)
      return wrong_field(key, "an array of strings");
    texts.emplace_back(element.get_string());
  }
  return texts;
}

}  // namespace merlon::machine
