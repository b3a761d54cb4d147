// Parsing and applying OData queries.
#include "identity/graph_query.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace merlon::identity {
namespace {

constexpr size_t kFilterMax = 4096;
constexpr size_t kTermsMax = 16;
constexpr size_t kTopMax = 999;

std::unexpected<Error> unsupported(std::string message) {
  return fail(ErrorKind::invalid, "Request_UnsupportedQuery", std::move(message), "$filter");
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

class FilterParser {
 public:
  explicit FilterParser(std::string_view text) : rest_(text) {}

  Result<std::vector<FilterTerm>> parse() {
    std::vector<FilterTerm> terms;
    do {
      if (terms.size() == kTermsMax) return unsupported("The $filter has more than 16 terms.");
      terms.push_back(TRY(term()));
      skip_spaces();
    } while (word("and"));
    if (!rest_.empty())
      return unsupported("The $filter is not understood at '" + std::string(rest_.substr(0, 40)) +
                         "'. Supported are eq, startswith() and any(), joined by 'and'.");
    return terms;
  }

 private:
  void skip_spaces() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_spaces();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string name() {
    skip_spaces();
    size_t length = 0;
    while (length < rest_.size() && is_name(rest_[length])) ++length;
    std::string found(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return found;
  }
  bool word(std::string_view wanted) {
    const std::string_view before = rest_;
    if (ascii_iequal(name(), wanted)) return true;
    rest_ = before;
    return false;
  }
  Result<std::string> literal() {
    skip_spaces();
    std::string value;
    if (!take('\'')) {
      // Numbers, booleans and ids come without quotes.
      while (!rest_.empty() && (is_name(rest_.front()) || rest_.front() == '-')) {
        value += rest_.front();
        rest_.remove_prefix(1);
      }
      if (value.empty()) return unsupported("The $filter lacks a value.");
      return value;
    }
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c != '\'') {
        value += c;
      } else if (!rest_.empty() && rest_.front() == '\'') {
        value += c;  // doubled: a quote itself
        rest_.remove_prefix(1);
      } else {
        return value;
      }
    }
    return unsupported("The $filter has a text without its closing quote.");
  }
  Result<FilterTerm> term() {
    FilterTerm term;
    term.field = name();
    if (term.field.empty()) return unsupported("The $filter lacks the name of a property.");
    if (ascii_iequal(term.field, "startswith") && take('(')) {
      term.op = FilterOperator::starts_with;
      term.field = name();
      if (term.field.empty() || !take(',')) return unsupported("startswith() takes a property and a text.");
      term.value = TRY(literal());
      if (!take(')')) return unsupported("startswith() lacks its closing parenthesis.");
      return term;
    }
    if (take('/')) return any(std::move(term));
    if (!word("eq")) return unsupported("Only 'eq', startswith() and any() are supported in $filter.");
    term.value = TRY(literal());
    return term;
  }
  // servicePrincipalNames/any(c:c eq 'x')
  Result<FilterTerm> any(FilterTerm term) {
    term.op = FilterOperator::any_equals;
    if (!word("any") || !take('(')) return unsupported("Only any() is supported on a collection in $filter.");
    const std::string variable = name();
    if (variable.empty() || !take(':') || name() != variable || !word("eq"))
      return unsupported("any() takes the form any(x:x eq 'value').");
    term.value = TRY(literal());
    if (!take(')')) return unsupported("any() lacks its closing parenthesis.");
    return term;
  }

  std::string_view rest_;
};

const Json* member(const JsonObject& object, std::string_view name) {
  for (const auto& [key, value] : object)
    if (ascii_iequal(key, name)) return &value;
  return nullptr;
}

std::string comparable(const Json& value) {
  if (value.is_string()) return std::string(value.get_string());
  return to_text(value);
}

}  // namespace

Result<std::vector<FilterTerm>> parse_graph_filter(std::string_view text) {
  if (text.size() > kFilterMax) return unsupported("The $filter is longer than 4096 bytes.");
  return FilterParser(text).parse();
}

Result<GraphQuery> parse_graph_query(const net::Query& query) {
  GraphQuery parsed;
  for (const auto& [name, value] : query.items) {
    if (ascii_iequal(name, "$filter")) {
      parsed.filter = TRY(parse_graph_filter(value));
    } else if (ascii_iequal(name, "$top")) {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed.top);
      if (error != std::errc() || end != value.data() + value.size() || parsed.top == 0 ||
          parsed.top > kTopMax)
        return fail(ErrorKind::invalid, "Request_BadRequest",
                    "Invalid page size specified: '" + value + "'. Must be between 1 and 999 inclusive.",
                    "$top");
    } else if (ascii_iequal(name, "$select")) {
      for (const std::string_view field : split(value, ',')) parsed.select.emplace_back(trim(field));
    } else if (ascii_iequal(name, "$skiptoken")) {
      parsed.skip_token = value;
    } else if (ascii_iequal(name, "$count")) {
      if (!ascii_iequal(value, "true") && !ascii_iequal(value, "false"))
        return fail(ErrorKind::invalid, "Request_BadRequest", "$count is true or false.", "$count");
      parsed.count = ascii_iequal(value, "true");
    } else if (name.starts_with('$')) {
      return fail(ErrorKind::invalid, "Request_UnsupportedQuery",
                  "The query option '" + name +
                      "' is not supported. Supported are $filter, $top, $count and $select.",
                  name);
    }
  }
  return parsed;
}

Result<bool> matches(const std::vector<FilterTerm>& filter, const JsonObject& object) {
  for (const FilterTerm& term : filter) {
    const Json* value = member(object, term.field);
    if (value == nullptr || value->is_object() ||
        (value->is_array() != (term.op == FilterOperator::any_equals)))
      return unsupported("The property '" + term.field + "' can not be filtered in this way.");
    bool fits = false;
    if (const JsonArray* elements = value->if_array())
      fits = std::ranges::any_of(
          *elements, [&](const Json& element) { return ascii_iequal(comparable(element), term.value); });
    else if (term.op == FilterOperator::starts_with)
      fits = ascii_istarts_with(comparable(*value), term.value);
    else
      fits = ascii_iequal(comparable(*value), term.value);
    if (!fits) return false;
  }
  return true;
}

JsonObject selected(const JsonObject& object, const std::vector<std::string>& select) {
  if (select.empty()) return object;
  JsonObject chosen;
  for (const auto& [key, value] : object) {
    const bool wanted =
        std::ranges::any_of(select, [&](const std::string& name) { return ascii_iequal(name, key); });
    if (wanted || key == "id") chosen.emplace(key, value);
  }
  return chosen;
}

}  // namespace merlon::identity
