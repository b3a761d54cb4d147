// The part of OData that Graph's callers use here: $filter with eq, startswith and any() joined by `and`,
// $top, $select and $skiptoken. Anything else is refused, never ignored: a filter that is not understood
// would list everything.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "net/http.h"

namespace merlon::identity {

enum class FilterOperator { equals, starts_with, any_equals };

struct FilterTerm {
  std::string field;
  FilterOperator op = FilterOperator::equals;
  std::string value;
};

struct GraphQuery {
  std::vector<FilterTerm> filter;  // all must hold
  size_t top = 100;
  std::vector<std::string> select;  // empty = all
  std::string skip_token;
  bool count = false;  // with the number of all that fit, over all pages
};

Result<std::vector<FilterTerm>> parse_graph_filter(std::string_view text);
Result<GraphQuery> parse_graph_query(const net::Query& query);

// Compares as Graph does, without case, with the members of the object that the caller would get. An unknown
// field is Request_UnsupportedQuery.
Result<bool> matches(const std::vector<FilterTerm>& filter, const JsonObject& object);
// The object with only the selected members, and always its id.
JsonObject selected(const JsonObject& object, const std::vector<std::string>& select);

}  // namespace merlon::identity
