// A hand-written scanner: one pass, bounded by the length of the query string and the depth of parentheses.
#include "resource/query_filter.h"

#include <array>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::resource {
namespace {

constexpr size_t kTermsMax = 32;
constexpr size_t kDepthMax = 8;

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::unexpected<Error> refuse(std::string_view expected) const {
    return fail(ErrorKind::invalid, "InvalidFilterInQueryString",
                "The $filter '" + std::string(text_.substr(0, 500)) + "' is not understood at character " +
                    std::to_string(at_ + 1) + ": " + std::string(expected) + " is expected.",
                "$filter");
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool at_end() const { return at_ == text_.size(); }
  bool take(char c) {
    skip_space();
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_keyword(std::string_view keyword) {
    const size_t before = at_;
    if (ascii_lower(take_word()) == keyword) return true;
    at_ = before;
    return false;
  }
  // Letters, digits and what stands in property paths, numbers, unquoted times and ids.
  std::string take_word() {
    skip_space();
    const size_t start = at_;
    static constexpr std::string_view kOthers = "/_-.:+$@";
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             kOthers.find(c) != std::string_view::npos;
    };
    while (at_ < text_.size() && fits(text_[at_])) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }
  // 'it''s' is it's (OData 4.01 ABNF, string).
  Result<std::string> take_value() {
    skip_space();
    if (at_end() || text_[at_] != '\'') {
      std::string word = take_word();
      if (word.empty()) return refuse("a value");
      return word;
    }
    std::string value;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] != '\'') {
        value += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '\'') {
        value += '\'';
        ++at_;
      } else {
        ++at_;
        return value;
      }
    }
    return refuse("the closing quote");
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

Result<FilterTerm> take_term(Scanner& scanner) {
  FilterTerm term;
  term.name = scanner.take_word();
  if (term.name.empty()) return scanner.refuse("a property or a function");
  if (scanner.take('(')) {
    term.op = "call";
    if (scanner.take(')')) return term;
    do {
      term.arguments.push_back(TRY(scanner.take_value()));
    } while (scanner.take(','));
    if (!scanner.take(')')) return scanner.refuse("')'");
    return term;
  }
  term.op = ascii_lower(scanner.take_word());
  static constexpr std::array<std::string_view, 6> kOperators{"eq", "ne", "ge", "gt", "le", "lt"};
  bool known = false;
  for (const std::string_view op : kOperators) known = known || op == term.op;
  if (!known) return scanner.refuse("one of eq, ne, ge, gt, le, lt");
  term.value = TRY(scanner.take_value());
  return term;
}

class ConditionParser {
 public:
  explicit ConditionParser(std::string_view text) : scanner_(text) {}
  Result<FilterCondition> run() {
    scanner_.skip_space();
    if (scanner_.at_end()) return FilterCondition();
    FilterCondition whole = TRY(joined(FilterCondition::Kind::any));
    scanner_.skip_space();
    if (!scanner_.at_end()) return scanner_.refuse("'and', 'or' or the end");
    return whole;
  }

 private:
  Result<FilterCondition> joined(FilterCondition::Kind kind) {
    const bool any = kind == FilterCondition::Kind::any;
    FilterCondition made;
    made.kind = kind;
    do {
      made.children.push_back(any ? TRY(joined(FilterCondition::Kind::all)) : TRY(unit()));
    } while (scanner_.take_keyword(any ? "or" : "and"));
    if (made.children.size() > 1) return made;
    FilterCondition only = std::move(made.children.front());
    return only;
  }
  Result<FilterCondition> unit() {
    if (scanner_.take('(')) {
      if (++depth_ > kDepthMax) return scanner_.refuse("at most 8 levels of parentheses");
      FilterCondition inner = TRY(joined(FilterCondition::Kind::any));
      if (!scanner_.take(')')) return scanner_.refuse("')'");
      --depth_;
      return inner;
    }
    if (++terms_ > kTermsMax) return scanner_.refuse("an end after 32 terms");
    FilterCondition made;
    made.kind = FilterCondition::Kind::term;
    made.term = TRY(take_term(scanner_));
    return made;
  }

  Scanner scanner_;
  size_t depth_ = 0, terms_ = 0;
};

}  // namespace

Result<FilterCondition> parse_query_condition(std::string_view text) { return ConditionParser(text).run(); }

Result<std::vector<FilterTerm>> parse_query_filter(std::string_view text) {
  std::vector<FilterTerm> terms;
  Scanner scanner(text);
  scanner.skip_space();
  while (!scanner.at_end()) {
    if (terms.size() == kTermsMax) return scanner.refuse("an end after 32 terms");
    terms.push_back(TRY(take_term(scanner)));
    scanner.skip_space();
    if (scanner.at_end()) break;
    if (ascii_lower(scanner.take_word()) != "and") return scanner.refuse("'and'");
    scanner.skip_space();
    if (scanner.at_end()) return scanner.refuse("a term after 'and'");
  }
  return terms;
}

std::unexpected<Error> unknown_filter_term(const FilterTerm& term, std::string_view known) {
  return fail(ErrorKind::invalid, "InvalidFilterInQueryString",
              "The $filter term '" + term.name.substr(0, 200) + " " + term.op +
                  "' is not supported here. Supported: " + std::string(known) + ".",
              "$filter");
}

Result<Timestamp> filter_time(const FilterTerm& term) {
  auto time = from_rfc3339(term.value);
  if (!time) time = from_rfc3339(term.value + "Z");
  if (!time) {
    return fail(ErrorKind::invalid, "InvalidFilterInQueryString",
                "The $filter value '" + term.value.substr(0, 200) + "' of " + term.name.substr(0, 200) +
                    " is not a time such as '2026-11-22T18:00:00Z'.",
                "$filter");
  }
  return *time;
}

}  // namespace merlon::resource
