// The words of a graph query.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace merlon::resource {

struct GraphToken {
  enum class Kind { word, text, number, symbol, end } kind = Kind::end;
  std::string text;  // of a string: its value
  size_t line = 1, column = 1;
};

// Ends with one token of kind `end`. "project-away", "in~" and "!contains" are one word each.
Result<std::vector<GraphToken>> read_graph_tokens(std::string_view text);

// 400 BadRequest with Resource Graph's details; `code` is of the detail: "ParserFailure",
// "UnsupportedFeature".
std::unexpected<Error> bad_graph_query(std::string_view code, const GraphToken& at, std::string_view what);

}  // namespace merlon::resource
