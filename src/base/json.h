// JSON at the boundary, strict: duplicate keys, numbers that are not finite, and depth beyond the limit are
// errors, not surprises (Boost.JSON alone keeps the last duplicate and reads 1e400 as Infinity). Decode to
// structs at once.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace merlon {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

struct JsonLimits {
  size_t bytes_max = 4 * 1024 * 1024;
  size_t depth_max = 32;
};

// Errors are InvalidRequestContent and say where: "line 3, column 14: duplicate key 'name'".
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});
Result<JsonObject> parse_json_object(std::string_view text, const JsonLimits& limits = {});

// Compact, keys in the order they were added, doubles in the shortest decimal form that reads back equal.
std::string to_text(const Json& json);
std::string to_text(const JsonObject& json);
std::string to_pretty_text(const Json& json);  // two spaces, for people
// The same with every object's keys sorted: equal values give equal text, for hashing.
std::string to_canonical_text(const Json& json);

// `text` as a JSON string, with its quotes, at the end of `out`: for records of our own that are written
// member by member.
void append_json_string(std::string& out, std::string_view text);

// Null where the path does not lead to a value: at(json, "properties.ipConfigurations"). Segments are keys;
// no escapes.
const Json* find(const Json& json, std::string_view path);
const Json* find(const JsonObject& json, std::string_view path);

// The typed member, or nothing when absent or of another type.
std::optional<std::string> string_at(const JsonObject& json, std::string_view path);
std::optional<int64_t> int_at(const JsonObject& json, std::string_view path);
std::optional<bool> bool_at(const JsonObject& json, std::string_view path);
const JsonArray* array_at(const JsonObject& json, std::string_view path);
const JsonObject* object_at(const JsonObject& json, std::string_view path);

// As above; absence or another type is an internal error that names the record's field. For records of our
// own.
Result<std::string> require_string(const JsonObject& json, std::string_view key);
Result<int64_t> require_int(const JsonObject& json, std::string_view key);
Result<bool> require_bool(const JsonObject& json, std::string_view key);

}  // namespace merlon
