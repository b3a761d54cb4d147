// The part of OData's $filter that Azure's control plane accepts: comparisons and function calls joined by
// "and", and for lists of resources by "or" and parentheses too.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace merlon::resource {

struct FilterTerm {
  std::string name;                    // the property, or the function's name: "resourceType", "substringof"
  std::string op;                      // "eq", "ne", "ge", "gt", "le", "lt"; "call" for a function
  std::string value;                   // of a comparison, without quotes
  std::vector<std::string> arguments;  // of a function, without quotes
};

// Errors are InvalidFilterInQueryString and quote the filter. Names and operators compare without case;
// operators come out in lower case.
Result<std::vector<FilterTerm>> parse_query_filter(std::string_view text);

// A whole condition: of terms, of others joined by "and" (all), or by "or" (any), which binds less.
struct FilterCondition {
  enum class Kind { term, all, any } kind = Kind::all;
  FilterTerm term;
  std::vector<FilterCondition> children;  // of all and any; all of none is true
};
Result<FilterCondition> parse_query_condition(std::string_view text);

// A term that the list in question does not know, as an error.
std::unexpected<Error> unknown_filter_term(const FilterTerm& term, std::string_view known);
// Times in filters come without a zone, which means UTC: az sends "2026-11-21T18:54:51.775986".
Result<Timestamp> filter_time(const FilterTerm& term);

}  // namespace merlon::resource
