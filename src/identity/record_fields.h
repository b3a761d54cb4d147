// How identity's records spell times, ids and lists in their JSON rows: once, so that no two records differ.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "base/uuid.h"

namespace merlon::identity {

inline Result<Uuid> require_uuid(const JsonObject& json, std::string_view key) {
  const std::string text = TRY(require_string(json, key));
  const auto id = Uuid::parse(text);
  if (!id) return internal_error("stored record's '" + std::string(key) + "' is not a UUID");
  return *id;
}

inline Result<Timestamp> require_time(const JsonObject& json, std::string_view key) {
  const std::string text = TRY(require_string(json, key));
  const auto time = from_rfc3339(text);
  if (!time) return internal_error("stored record's '" + std::string(key) + "' is not a time");
  return *time;
}

inline JsonArray to_json_array(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

// Strings only; anything else in the array is left out.
inline std::vector<std::string> strings_at(const JsonObject& json, std::string_view key) {
  std::vector<std::string> texts;
  if (const JsonArray* array = array_at(json, key))
    for (const Json& element : *array)
      if (element.is_string()) texts.emplace_back(element.get_string());
  return texts;
}

}  // namespace merlon::identity
