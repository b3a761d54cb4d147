// Kusto's comparisons on dynamic values: strings are never null, so a missing member compares as the empty
// string where the other side is a string, and as nothing where it is a number.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "resource/resource_graph_rows.h"

namespace merlon::resource {
namespace {

std::string text_of(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return std::string(value.get_string());
  return to_text(value);
}

std::optional<double> number_of(const Json& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_double()) return value.get_double();
  return std::nullopt;
}

size_t text_size(const Json& value) { return value.is_string() ? value.get_string().size() : 256; }

// About what it takes to copy it.
size_t weight_of(const Json& value) {
  size_t weight = sizeof(Json);
  if (value.is_string()) return weight + value.get_string().size();
  if (const JsonArray* array = value.if_array())
    for (const Json& element : *array) weight += weight_of(element);
  if (const JsonObject* object = value.if_object())
    for (const auto& member : *object) weight += member.key().size() + weight_of(member.value());
  return weight;
}

bool is_truth(const Json& value) { return value.is_bool() && value.get_bool(); }

bool equals(const Json& left, const Json& right, bool ignore_case) {
  const auto a = number_of(left);
  const auto b = number_of(right);
  if (a && b) return !(*a < *b) && !(*b < *a);
  if (left.is_bool() && right.is_bool()) return left.get_bool() == right.get_bool();
  if (!left.is_string() && !right.is_string()) return !left.is_null() && left == right;
  const std::string x = text_of(left);
  const std::string y = text_of(right);
  return ignore_case ? ascii_iequal(x, y) : x == y;
}

bool is_term_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (static_cast<unsigned char>(c) & 0x80U) != 0;
}

// A whole run of letters and digits, as Kusto's has: "prod" is in "web-prod-1" and not in "product".
bool has_term(const std::string& text, const std::string& term) {
  for (size_t at = text.find(term); at != std::string::npos; at = text.find(term, at + 1)) {
    const bool begins = at == 0 || !is_term_char(text[at - 1]);
    const size_t end = at + term.size();
    if (begins && (end == text.size() || !is_term_char(text[end]))) return true;
    if (term.empty()) return true;
  }
  return false;
}

bool ordered(std::string_view name, const Json& left, const Json& right) {
  int order = 0;
  const auto a = number_of(left);
  const auto b = number_of(right);
  if (a && b) {
    order = *a < *b ? -1 : (*b < *a ? 1 : 0);
  } else if (left.is_string() && right.is_string()) {
    order = text_of(left).compare(text_of(right));
  } else {
    return false;
  }
  if (name == "<") return order < 0;
  if (name == "<=") return order <= 0;
  return name == ">" ? order > 0 : order >= 0;
}

bool string_relation(std::string_view name, const Json& left, const Json& right) {
  if (name == "contains_cs") return text_of(left).find(text_of(right)) != std::string::npos;
  const std::string a = ascii_lower(text_of(left));
  const std::string b = ascii_lower(text_of(right));
  if (name == "contains") return a.find(b) != std::string::npos;
  if (name == "startswith") return a.starts_with(b);
  if (name == "endswith") return a.ends_with(b);
  return has_term(a, b);
}

bool compare(std::string_view name, const GraphExpression& left, const GraphExpression& right,
             const GraphRow& row, GraphWork& work) {
  const Json a = graph_value(left, row, work);
  if (name == "in" || name == "in~") {
    return std::ranges::any_of(right.children, [&](const GraphExpression& item) {
      return equals(a, graph_value(item, row, work), name == "in~");
    });
  }
  const Json b = graph_value(right, row, work);
  if (name == "==" || name == "=~") return equals(a, b, name == "=~");
  if (name.starts_with('<') || name.starts_with('>')) return ordered(name, a, b);
  // At worst a search begins anew at each character.
  if (!work.take_steps(1 + (text_size(a) / 16) * (1 + text_size(b) / 16))) return false;
  return string_relation(name, a, b);
}

Json binary_value(const GraphExpression& expression, const GraphRow& row, GraphWork& work) {
  const auto& parts = expression.children;
  const auto holds = [&](const GraphExpression& part) { return graph_matches(part, row, work); };
  if (expression.name == "and") return std::ranges::all_of(parts, holds);
  if (expression.name == "or") return std::ranges::any_of(parts, holds);
  std::string_view name = expression.name;
  if (name == "!=") return !compare("==", parts[0], parts[1], row, work);
  if (name == "!~") return !compare("=~", parts[0], parts[1], row, work);
  const bool negated = name.starts_with('!');
  if (negated) name.remove_prefix(1);
  return compare(name, parts[0], parts[1], row, work) != negated;
}

Json to_int(const Json& value) {
  if (const auto number = number_of(value)) {
    if (std::abs(*number) < 9e15) return static_cast<int64_t>(*number);
    return nullptr;
  }
  const std::string text = text_of(value);
  int64_t parsed = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (fault != std::errc() || end != text.data() + text.size()) return nullptr;
  return parsed;
}

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

Json strcat_value(const GraphExpression& call, const GraphRow& row, GraphWork& work) {
  std::string text;
  for (const GraphExpression& part : call.children) {
    const std::string more = text_of(graph_value(part, row, work));
    if (text.size() + more.size() > GraphWork::kTextBytesMax) work.spend();
    if (!work.take_bytes(more.size())) return nullptr;
    text += more;
  }
  return Json(text);
}

Json call_value(const GraphExpression& call, const GraphRow& row, GraphWork& work) {
  if (call.name == "strcat") return strcat_value(call, row, work);
  const Json first = graph_value(call.children.at(0), row, work);
  if (call.name == "iff") return graph_value(call.children.at(is_truth(first) ? 1 : 2), row, work);
  if (!work.take_bytes(weight_of(first))) return nullptr;
  if (call.name == "tolower") return Json(ascii_lower(text_of(first)));
  if (call.name == "toupper") return Json(upper(text_of(first)));
  if (call.name == "tostring") return Json(text_of(first));
  if (call.name == "toint") return to_int(first);
  if (call.name == "isempty") return text_of(first).empty();
  if (call.name == "isnotempty") return !text_of(first).empty();
  if (call.name == "isnull") return first.is_null();
  if (call.name == "isnotnull") return !first.is_null();
  if (call.name == "not") return !is_truth(first);
  if (call.name == "array_length" && first.is_array()) return static_cast<int64_t>(first.get_array().size());
  return nullptr;
}

Json copy_of(const Json& value, GraphWork& work) {
  return work.take_bytes(weight_of(value)) ? value : Json(nullptr);
}

Json path_value(const GraphExpression& path, const GraphRow& row, GraphWork& work) {
  const Json* value = row.if_contains(path.name);
  for (const GraphExpression& step : path.children) {
    if (value == nullptr) return nullptr;
    if (step.value.is_string()) {
      const JsonObject* object = value->if_object();
      value = object == nullptr ? nullptr : object->if_contains(step.value.get_string());
    } else {
      const JsonArray* array = value->if_array();
      const auto index = static_cast<uint64_t>(step.value.to_number<int64_t>());
      value = array == nullptr || index >= array->size() ? nullptr : &(*array)[index];
    }
  }
  return value == nullptr ? Json(nullptr) : copy_of(*value, work);
}

}  // namespace

Json graph_value(const GraphExpression& expression, const GraphRow& row, GraphWork& work) {
  if (!work.take_steps(1)) return nullptr;
  switch (expression.kind) {
    case GraphExpression::Kind::literal:
      return copy_of(expression.value, work);
    case GraphExpression::Kind::path:
      return path_value(expression, row, work);
    case GraphExpression::Kind::function:
      return call_value(expression, row, work);
    case GraphExpression::Kind::binary:
      return binary_value(expression, row, work);
    case GraphExpression::Kind::list:
      break;
  }
  return nullptr;
}

bool graph_matches(const GraphExpression& condition, const GraphRow& row, GraphWork& work) {
  return is_truth(graph_value(condition, row, work));
}

}  // namespace merlon::resource
