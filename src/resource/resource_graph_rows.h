// A graph query carried out on rows: what each expression comes to, and what each operator leaves.
#pragma once

#include <vector>

#include "resource/resource_graph_query.h"
#include "resource/resource_graph_work.h"

namespace merlon::resource {

using GraphRow = JsonObject;

// Missing members are null. Never fails: what cannot be compared does not match, and what `work` does not
// allow any more is null.
Json graph_value(const GraphExpression& expression, const GraphRow& row, GraphWork& work);
bool graph_matches(const GraphExpression& condition, const GraphRow& row, GraphWork& work);

// The rows that `query` leaves of those of its table, with exactly query.columns. Leading `where` operators
// may have been applied already: doing it twice changes nothing. 400 BadRequest when it takes more work than
// is left.
Result<std::vector<GraphRow>> run_graph_query(const GraphQuery& query, std::vector<GraphRow> rows,
                                              GraphWork& work);

}  // namespace merlon::resource
