// The part of the Kusto query language that tools send to Azure Resource Graph (Microsoft Learn,
// "Understanding the Azure Resource Graph query language"): one table, then operators joined by "|". What is
// outside of it is refused by name, so that nobody takes a partial answer for a whole one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace merlon::resource {

struct GraphExpression {
  enum class Kind {
    literal,   // value
    path,      // name is a column; children are the steps into it: literals, strings or integers
    function,  // name(children…)
    binary,    // children[0] name children[1]; "and", "or", "==", "=~", "contains", "in~" (then a list)
    list,      // the right side of in
  };
  Kind kind = Kind::literal;
  std::string name;
  Json value;
  std::vector<GraphExpression> children;
};

struct GraphColumn {
  std::string name;
  GraphExpression expression;
};

struct GraphSortKey {
  GraphExpression expression;
  bool descending = true;
  bool nulls_first = false;
};

struct GraphOperator {
  enum class Kind { where, project, project_away, extend, order, limit, count, summarize, distinct };
  Kind kind = Kind::where;
  GraphExpression condition;         // where
  std::vector<GraphColumn> columns;  // project, project_away, extend, distinct; the aggregates of summarize
  std::vector<GraphColumn> by;       // summarize
  std::vector<GraphSortKey> keys;    // order
  uint64_t limit = 0;
};

struct GraphQuery {
  enum class Table { resources, resource_containers };
  Table table = Table::resources;
  std::vector<GraphOperator> operators;
  std::vector<std::string> columns;  // of the answer, in order
};

// The columns of a row before any operator.
const std::vector<std::string>& graph_table_columns();
// 400 BadRequest, for one that would take more than GraphWork has.
Error graph_query_too_expensive();
// Errors are 400 BadRequest, as Resource Graph's: `details` say what is wrong and where.
Result<GraphQuery> parse_graph_query(std::string_view text);

}  // namespace merlon::resource
