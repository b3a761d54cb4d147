// One walk over shape and document: validates, canonicalises and fills in, and goes on after a fault so that
// the caller sees them all at once. What the shape does not name can not get through.
#include <fmt/format.h>

#include <cmath>

#include "base/text.h"
#include "schema/shape.h"

namespace merlon::schema {
namespace {

constexpr size_t kDetailsMax = 50;        // of a document with a thousand wrong elements, fifty are enough
constexpr size_t kEchoBytesMax = 64;      // of a wrong enum value, in a message
constexpr size_t kKeyEchoBytesMax = 128;  // of a map's key, in a path
constexpr double kExactIntegerMax = 9007199254740992.0;  // 2^53: RFC 8259 section 6

std::string_view kind_text(Kind kind) {
  switch (kind) {
    case Kind::string:
      return "a string";
    case Kind::integer:
      return "an integer";
    case Kind::number:
      return "a number";
    case Kind::boolean:
      return "true or false";
    case Kind::object:
      return "an object";
    case Kind::array:
      return "an array";
    case Kind::any:
      return "a value";
  }
  MERLON_CHECK(false);
  return {};
}

std::string_view kind_text(const Json& json) {
  if (json.is_null()) return "null";
  if (json.is_bool()) return "a boolean";
  if (json.is_string()) return "a string";
  if (json.is_object()) return "an object";
  if (json.is_array()) return "an array";
  return "a number";
}

// At most `bytes_max` bytes, cut between characters; marked when it was cut.
std::string shortened(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80) --end;
  return std::string(text.substr(0, end)) + "…";
}

int64_t character_count(std::string_view text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
  return count;
}

std::string quoted_list(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) {
    if (&value != &values.front()) out += ", ";
    out += "'" + value + "'";
  }
  return out;
}

class Conformer {
 public:
  // The value as it is kept; nothing after a fault, which has been noted.
  std::optional<Json> value(const Shape& shape, const Json& json, const std::string& path) {
    switch (shape.kind) {
      case Kind::any:
        return json;
      case Kind::boolean:
        return json.is_bool() ? std::optional(json) : wrong_kind(shape, json, path);
      case Kind::integer:
        return integer(shape, json, path);
      case Kind::number:
        return number(shape, json, path);
      case Kind::string:
        return string(shape, json, path);
      case Kind::array:
        return array(shape, json, path);
      case Kind::object:
        if (!json.is_object()) return wrong_kind(shape, json, path);
        return object(shape, json.get_object(), path);
    }
    MERLON_CHECK(false);
    return std::nullopt;
  }

  std::optional<Json> object(const Shape& shape, const JsonObject& document, const std::string& path) {
    return shape.members.empty() && shape.element ? map(shape, document, path)
                                                  : members(shape, document, path);
  }

  size_t fault_count() const { return fault_count_; }
  Error error() && {
    Error error = fail(ErrorKind::invalid, "InvalidRequestContent", "").error();
    const ErrorDetail& first = details_.front();
    error.target = first.target;
    error.message = "The request content is not valid: " + first.message;
    if (fault_count_ > 1) error.message += fmt::format(" ({} faults in all; see details.)", fault_count_);
    error.details = std::move(details_);
    return error;
  }

 private:
  std::nullopt_t fault(const std::string& path, std::string_view what) {
    ++fault_count_;
    if (details_.size() < kDetailsMax) {
      const std::string subject = path.empty() ? "The document" : "'" + path + "'";
      details_.push_back({"InvalidRequestContent", subject + " " + std::string(what) + ".", path});
    }
    return std::nullopt;
  }

  std::nullopt_t wrong_kind(const Shape& shape, const Json& json, const std::string& path) {
    return fault(path, fmt::format("must be {}, not {}", kind_text(shape.kind), kind_text(json)));
  }

  static std::string below(const std::string& path, std::string_view key) {
    return path.empty() ? std::string(key) : path + "." + std::string(key);
  }

  // `unit` as in "must have 1 to 80 characters".
  bool in_range(const Shape& shape, int64_t count, std::string_view unit, const std::string& path) {
    if ((!shape.minimum || count >= *shape.minimum) && (!shape.maximum || count <= *shape.maximum))
      return true;
    std::string range;
    if (shape.minimum && shape.maximum) {
      range = *shape.minimum == *shape.maximum ? fmt::format("exactly {}", *shape.minimum)
                                               : fmt::format("{} to {}", *shape.minimum, *shape.maximum);
    } else {
      range = shape.minimum ? fmt::format("at least {}", *shape.minimum)
                            : fmt::format("at most {}", *shape.maximum);
    }
    if (unit.empty()) {
      fault(path, fmt::format("must be {}, not {}", range, count));
    } else {
      fault(path, fmt::format("must have {} {}, not {}", range, unit, count));
    }
    return false;
  }

  std::optional<Json> integer(const Shape& shape, const Json& json, const std::string& path) {
    int64_t value = 0;
    if (json.is_int64()) {
      value = json.get_int64();
    } else if (json.is_double() && std::trunc(json.get_double()) == json.get_double() &&
               std::abs(json.get_double()) <= kExactIntegerMax) {
      value = static_cast<int64_t>(json.get_double());  // 3.0 is the integer 3 in JSON Schema and in Azure
    } else if (json.is_number()) {
      return fault(path,
                   json.is_double() ? "must be an integer, not a fraction" : "is too large for an integer");
    } else {
      return wrong_kind(shape, json, path);
    }
    if (!in_range(shape, value, "", path)) return std::nullopt;
    return Json(value);
  }

  std::optional<Json> number(const Shape& shape, const Json& json, const std::string& path) {
    if (!json.is_number()) return wrong_kind(shape, json, path);
    const double value = json.to_number<double>();
    if (shape.minimum && value < static_cast<double>(*shape.minimum))
      return fault(path, fmt::format("must be at least {}, not {}", *shape.minimum, value));
    if (shape.maximum && value > static_cast<double>(*shape.maximum))
      return fault(path, fmt::format("must be at most {}, not {}", *shape.maximum, value));
    return json;
  }

  // The value is told back for enums alone: any other string may be a secret.
  std::optional<Json> string(const Shape& shape, const Json& json, const std::string& path) {
    if (!json.is_string()) return wrong_kind(shape, json, path);
    const std::string_view text(json.get_string());
    if (!shape.one_of.empty()) {
      for (const std::string& allowed : shape.one_of)
        if (ascii_iequal(text, allowed)) return Json(allowed);
      return fault(path, fmt::format("must be one of {}, not '{}'", quoted_list(shape.one_of),
                                     shortened(text, kEchoBytesMax)));
    }
    if (!in_range(shape, character_count(text), "characters", path)) return std::nullopt;
    if (shape.check) {
      if (const auto wrong = shape.check(text)) return fault(path, *wrong);
    }
    return json;
  }

  std::optional<Json> array(const Shape& shape, const Json& json, const std::string& path) {
    if (!json.is_array()) return wrong_kind(shape, json, path);
    const JsonArray& elements = json.get_array();
    if (!in_range(shape, static_cast<int64_t>(elements.size()), "elements", path)) return std::nullopt;
    if (!shape.element) return json;
    const size_t before = fault_count_;
    JsonArray kept;
    kept.reserve(elements.size());
    for (size_t i = 0; i < elements.size(); ++i) {
      if (auto element = value(*shape.element, elements[i], fmt::format("{}[{}]", path, i)))
        kept.push_back(*std::move(element));
    }
    if (fault_count_ != before) return std::nullopt;
    return Json(std::move(kept));
  }

  std::optional<Json> map(const Shape& shape, const JsonObject& document, const std::string& path) {
    const size_t before = fault_count_;
    JsonObject kept;
    for (const auto& entry : document) {
      if (entry.value().is_null()) continue;
      const std::string_view key(entry.key());
      if (auto element = value(*shape.element, entry.value(), below(path, shortened(key, kKeyEchoBytesMax))))
        kept.emplace(key, *std::move(element));
    }
    if (fault_count_ == before) in_range(shape, static_cast<int64_t>(kept.size()), "members", path);
    if (fault_count_ != before) return std::nullopt;
    return Json(std::move(kept));
  }

  std::optional<Json> members(const Shape& shape, const JsonObject& document, const std::string& path) {
    const size_t before = fault_count_;
    JsonObject kept;
    for (const Member& member : shape.members) {
      if (member.presence == Presence::read_only) continue;
      const std::string member_path = below(path, member.name);
      const Json* given = document.if_contains(member.name);
      if (given != nullptr && given->is_null()) given = nullptr;
      if (given == nullptr && member.default_value) given = &*member.default_value;
      if (given == nullptr) {
        if (member.presence == Presence::required) fault(member_path, "is required, but missing");
        continue;
      }
      if (auto element = value(member.shape, *given, member_path))
        kept.emplace(member.name, *std::move(element));
    }
    if (fault_count_ != before) return std::nullopt;
    return Json(std::move(kept));
  }

  std::vector<ErrorDetail> details_;
  size_t fault_count_ = 0;
};

}  // namespace

Result<JsonObject> conform(const Shape& shape, const JsonObject& document, std::string_view path) {
  MERLON_CHECK(shape.kind == Kind::object);
  Conformer conformer;
  auto kept = conformer.object(shape, document, std::string(path));
  if (!kept) return std::unexpected(std::move(conformer).error());
  return std::move(kept->as_object());
}

}  // namespace merlon::schema
