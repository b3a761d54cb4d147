// Strict reading of the agent channel's messages: either side takes only what it expects, within bounds, and
// says which field is wrong. Errors are InvalidRequestContent with the field in `target`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/json.h"

namespace merlon::machine {

inline constexpr size_t kTextMax = 1024;
inline constexpr size_t kPemMax = 16 * 1024;

std::unexpected<Error> wrong_field(std::string_view key, std::string_view expected);
Result<std::string> text_field(const JsonObject& json, std::string_view key, size_t length_max = kTextMax);
Result<std::string> text_field_or_empty(const JsonObject& json, std::string_view key,
                                        size_t length_max = kTextMax);
Result<int64_t> int_field(const JsonObject& json, std::string_view key, int64_t minimum, int64_t maximum);
Result<bool> bool_field(const JsonObject& json, std::string_view key);
Result<bool> bool_field_or_false(const JsonObject& json, std::string_view key);  // absent reads as false
Result<Timestamp> time_field(const JsonObject& json, std::string_view key);
Result<IpAddress> address_field(const JsonObject& json, std::string_view key);
Result<IpPrefix> prefix_field(const JsonObject& json, std::string_view key);
Result<const JsonObject*> object_field(const JsonObject& json, std::string_view key);
// Absent reads as empty.
Result<std::vector<const JsonObject*>> objects_field(const JsonObject& json, std::string_view key,
                                                     size_t count_max);
Result<std::vector<std::string>> texts_field(const JsonObject& json, std::string_view key, size_t count_max);

}  // namespace merlon::machine
