// Boost.JSON behind the strict wrapper that json.h promises.
#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/text_runs.h"
#include "base/utf8.h"

namespace merlon {
namespace {

// Builds the value itself, because only the handler of a basic_parser sees a duplicate key.
class StrictHandler {
 public:
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  using Code = boost::json::error_code;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return open(JsonObject()); }
  bool on_object_end(size_t, Code&) { return close(); }
  bool on_array_begin(Code&) { return open(JsonArray()); }
  bool on_array_end(size_t, Code&) { return close(); }
  bool on_key_part(std::string_view part, size_t, Code&) { return append(part); }
  bool on_key(std::string_view part, size_t, Code& code) {
    text_ += part;
    std::string key = std::exchange(text_, {});
    if (stack_.back().value.as_object().contains(key)) {
      problem_ = fmt::format("duplicate key '{}'", key);
      return stop(code);
    }
    stack_.back().key = std::move(key);
    return true;
  }
  bool on_string_part(std::string_view part, size_t, Code&) { return append(part); }
  bool on_string(std::string_view part, size_t, Code&) {
    text_ += part;
    return add(Json(std::exchange(text_, {})));
  }
  bool on_number_part(std::string_view part, Code&) { return append(part); }
  bool on_int64(int64_t value, std::string_view part, Code&) {
    text_ += part;
    // An integer has no negative zero; as a double it reads back equal.
    return std::exchange(text_, {}) == "-0" ? add(Json(-0.0)) : add(Json(value));
  }
  bool on_uint64(uint64_t value, std::string_view, Code&) {
    text_.clear();
    return add(Json(value));
  }
  bool on_double(double rough, std::string_view part, Code& code) {
    // Boost.JSON 1.81 gives a neighbour of the nearest double for about three texts in ten, and NaN for
    // 0e999.
    text_ += part;
    const std::string text = std::exchange(text_, {});
    double value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    // out_of_range is also said of what is too small, and that reads as zero; the rough value tells which.
    if (read.ec == std::errc::result_out_of_range && std::abs(rough) < 1) return add(Json(0.0));
    if (read.ec != std::errc() || !std::isfinite(value)) {
      problem_ = "a number too large to represent";
      return stop(code);
    }
    return add(Json(value));
  }
  bool on_bool(bool value, Code&) { return add(Json(value)); }
  bool on_null(Code&) { return add(Json(nullptr)); }
  bool on_comment_part(std::string_view, Code&) { return true; }
  bool on_comment(std::string_view, Code&) { return true; }

  Json take() { return std::move(root_); }
  const std::string& problem() const { return problem_; }

 private:
  struct Level {
    Json value;
    std::string key;
  };

  bool append(std::string_view part) {
    text_ += part;
    return true;
  }
  bool open(Json container) {
    stack_.push_back({std::move(container), {}});
    return true;
  }
  bool close() {
    Json value = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(value));
  }
  bool add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (Json& parent = stack_.back().value; parent.is_array()) {
      parent.as_array().push_back(std::move(value));
    } else {
      parent.as_object().emplace(stack_.back().key, std::move(value));
    }
    return true;
  }
  static bool stop(Code& code) {
    code = boost::json::error::syntax;
    return false;
  }

  std::vector<Level> stack_;
  Json root_;
  std::string text_;
  std::string problem_;
};

std::string position_text(std::string_view text, size_t offset) {
  offset = std::min(offset, text.size());
  const std::string_view before = text.substr(0, offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("line {}, column {}", line, offset - line_start + 1);
}

void write_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\f':
      out += "\\f";
      break;
    default: {
      constexpr std::string_view kHex = "0123456789abcdef";
      const auto code = static_cast<uint8_t>(c);
      out += "\\u00";
      out.push_back(kHex[code >> 4U]);
      out.push_back(kHex[code & 0x0fU]);
    }
  }
}

// Runs of what needs no escape at once: nearly all text is one. What is no UTF-8 is replaced: parse_json()
// would not read it, and a record that was written once could never be read again.
void write_string(std::string& out, std::string_view text) {
  if (!is_utf8(text)) return write_string(out, with_replacements(text));
  out.push_back('"');
  for (;;) {
    const size_t run = run_without_escapes(text);
    out.append(text, 0, run);
    if (run == text.size()) break;
    write_escaped(out, text[run]);
    text.remove_prefix(run + 1);
  }
  out.push_back('"');
}

enum class KeyOrder { as_added, sorted };

struct Layout {
  KeyOrder order = KeyOrder::as_added;
  bool pretty = false;
};

void write_break(std::string& out, const Layout& layout, size_t depth) {
  if (!layout.pretty) return;
  out.push_back('\n');
  out.append(depth * 2, ' ');
}

void write(std::string& out, const Json& json, const Layout& layout, size_t depth);

void write_member(std::string& out, const boost::json::key_value_pair& member, const Layout& layout,
                  size_t depth) {
  write_break(out, layout, depth + 1);
  write_string(out, std::string_view(member.key()));
  out += layout.pretty ? ": " : ":";
  write(out, member.value(), layout, depth + 1);
}

void write_object(std::string& out, const JsonObject& object, const Layout& layout, size_t depth) {
  bool first = true;
  out.push_back('{');
  const auto write_next = [&](const boost::json::key_value_pair& member) {
    if (!std::exchange(first, false)) out.push_back(',');
    write_member(out, member, layout, depth);
  };
  if (layout.order == KeyOrder::as_added) {
    for (const auto& member : object) write_next(member);
  } else {
    std::vector<const boost::json::key_value_pair*> members;
    members.reserve(object.size());
    for (const auto& member : object) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key() < b->key(); });
    for (const auto* member : members) write_next(*member);
  }
  if (!first) write_break(out, layout, depth);
  out.push_back('}');
}

void write(std::string& out, const Json& json, const Layout& layout, size_t depth) {
  switch (json.kind()) {
    case boost::json::kind::null:
      out += "null";
      return;
    case boost::json::kind::bool_:
      out += json.get_bool() ? "true" : "false";
      return;
    case boost::json::kind::int64:
      out += std::to_string(json.get_int64());
      return;
    case boost::json::kind::uint64:
      out += std::to_string(json.get_uint64());
      return;
    case boost::json::kind::double_:
      MERLON_CHECK(std::isfinite(json.get_double()));
      out += fmt::format("{}", json.get_double());
      return;
    case boost::json::kind::string:
      write_string(out, std::string_view(json.get_string()));
      return;
    case boost::json::kind::array: {
      out.push_back('[');
      bool first = true;
      for (const Json& element : json.get_array()) {
        if (!std::exchange(first, false)) out.push_back(',');
        write_break(out, layout, depth + 1);
        write(out, element, layout, depth + 1);
      }
      if (!first) write_break(out, layout, depth);
      out.push_back(']');
      return;
    }
    case boost::json::kind::object:
      write_object(out, json.get_object(), layout, depth);
      return;
  }
}

std::unexpected<Error> missing_field(std::string_view key, std::string_view type) {
  return internal_error(fmt::format("stored record lacks the {} '{}'", type, key));
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max)
    return fail(
        ErrorKind::too_large, "RequestContentTooLarge",
        fmt::format("The JSON text has {} bytes; at most {} are accepted.", text.size(), limits.bytes_max));
  boost::json::parse_options options;
  options.max_depth = limits.depth_max;
  boost::json::basic_parser<StrictHandler> parser(options);
  boost::json::error_code code;
  const size_t used = parser.write_some(false, text.data(), text.size(), code);
  if (!code && used < text.size()) code = boost::json::error::extra_data;
  if (code) {
    const std::string& problem = parser.handler().problem();
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                fmt::format("The request content is not valid JSON at {}: {}.", position_text(text, used),
                            problem.empty() ? code.message() : problem));
  }
  return parser.handler().take();
}

Result<JsonObject> parse_json_object(std::string_view text, const JsonLimits& limits) {
  Json json = TRY(parse_json(text, limits));
  if (!json.is_object())
    return fail(ErrorKind::invalid, "InvalidRequestContent", "The request content must be a JSON object.");
  return std::move(json.as_object());
}

void append_json_string(std::string& out, std::string_view text) { write_string(out, text); }

std::string to_text(const Json& json) {
  std::string out;
  write(out, json, {}, 0);
  return out;
}

std::string to_text(const JsonObject& json) {
  std::string out;
  write_object(out, json, {}, 0);
  return out;
}

std::string to_pretty_text(const Json& json) {
  std::string out;
  write(out, json, {.order = KeyOrder::as_added, .pretty = true}, 0);
  return out;
}

std::string to_canonical_text(const Json& json) {
  std::string out;
  write(out, json, {.order = KeyOrder::sorted, .pretty = false}, 0);
  return out;
}

const Json* find(const JsonObject& json, std::string_view path) {
  const size_t dot = path.find('.');
  const Json* member = json.if_contains(path.substr(0, dot));
  if (member == nullptr || dot == std::string_view::npos) return member;
  return find(*member, path.substr(dot + 1));
}

const Json* find(const Json& json, std::string_view path) {
  return json.is_object() ? find(json.get_object(), path) : nullptr;
}

std::optional<std::string> string_at(const JsonObject& json, std::string_view path) {
  const Json* value = find(json, path);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<int64_t> int_at(const JsonObject& json, std::string_view path) {
  const Json* value = find(json, path);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  // What the program itself put in as unsigned; parsed text comes as signed wherever it fits.
  if (value->is_uint64() && std::in_range<int64_t>(value->get_uint64()))
    return static_cast<int64_t>(value->get_uint64());
  return std::nullopt;
}

std::optional<bool> bool_at(const JsonObject& json, std::string_view path) {
  const Json* value = find(json, path);
  if (value == nullptr || !value->is_bool()) return std::nullopt;
  return value->get_bool();
}

const JsonArray* array_at(const JsonObject& json, std::string_view path) {
  const Json* value = find(json, path);
  return value == nullptr ? nullptr : value->if_array();
}

const JsonObject* object_at(const JsonObject& json, std::string_view path) {
  const Json* value = find(json, path);
  return value == nullptr ? nullptr : value->if_object();
}

Result<std::string> require_string(const JsonObject& json, std::string_view key) {
  if (auto value = string_at(json, key)) return *std::move(value);
  return missing_field(key, "string");
}

Result<int64_t> require_int(const JsonObject& json, std::string_view key) {
  if (const auto value = int_at(json, key)) return *value;
  return missing_field(key, "integer");
}

Result<bool> require_bool(const JsonObject& json, std::string_view key) {
  if (const auto value = bool_at(json, key)) return *value;
  return missing_field(key, "boolean");
}

}  // namespace merlon
