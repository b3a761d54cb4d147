// A graph query carried out on rows: what each expression comes to, and what each operator leaves.
#pragma once

#include <vector>

#include "resource/resource_graph_query.h"

namespace merlon::resource {

using GraphRow = JsonObject;

// Missing members are null. Never fails: what cannot be compared does not match.
Json graph_value(const GraphExpression& expression, const GraphRow& row);
bool graph_matches(const GraphExpression& condition, const GraphRow& row);

// The rows that `query` leaves of those of its table, with exactly query.columns. Leading `where` operators
// may have been applied already: doing it twice changes nothing.
std::vector<GraphRow> run_graph_query(const GraphQuery& query, std::vector<GraphRow> rows);

}  // namespace merlon::resource
