// Operators one after the other on all rows: a query is as long as its text, and rows are few after `where`.
#include "resource/resource_graph_rows.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"

namespace merlon::resource {
namespace {

// Null, then truth values, numbers, strings, the rest: an order for values of any kind.
int rank(const Json& value) {
  if (value.is_null()) return 0;
  if (value.is_bool()) return 1;
  if (value.is_number()) return 2;
  return value.is_string() ? 3 : 4;
}

int compare_values(const Json& a, const Json& b) {
  if (rank(a) != rank(b)) return rank(a) < rank(b) ? -1 : 1;
  switch (rank(a)) {
    case 0:
      return 0;
    case 1:
      return static_cast<int>(a.get_bool()) - static_cast<int>(b.get_bool());
    case 2: {
      const auto x = a.to_number<double>();
      const auto y = b.to_number<double>();
      return x < y ? -1 : (y < x ? 1 : 0);
    }
    case 3:
      return std::string_view(a.get_string()).compare(std::string_view(b.get_string()));
    default:
      return to_canonical_text(a).compare(to_canonical_text(b));
  }
}

std::vector<GraphRow> order(const GraphOperator& by, std::vector<GraphRow> rows, GraphWork& work) {
  struct Keyed {
    std::vector<Json> keys;
    size_t position;  // equal keys keep their order
    GraphRow row;
  };
  std::vector<Keyed> keyed;
  for (GraphRow& row : rows) {
    Keyed one;
    for (const GraphSortKey& key : by.keys) one.keys.push_back(graph_value(key.expression, row, work));
    one.position = keyed.size();
    one.row = std::move(row);
    keyed.push_back(std::move(one));
  }
  std::ranges::sort(keyed, [&](const Keyed& a, const Keyed& b) {
    for (size_t i = 0; i < by.keys.size(); ++i) {
      const bool null_a = a.keys[i].is_null();
      const bool null_b = b.keys[i].is_null();
      if (null_a && null_b) continue;
      if (null_a != null_b) return null_a == by.keys[i].nulls_first;
      const int order = compare_values(a.keys[i], b.keys[i]);
      if (order != 0) return by.keys[i].descending ? order > 0 : order < 0;
    }
    return a.position < b.position;
  });
  std::vector<GraphRow> sorted;
  for (Keyed& one : keyed) sorted.push_back(std::move(one.row));
  return sorted;
}

GraphRow projected(const std::vector<GraphColumn>& columns, const GraphRow& row, GraphWork& work) {
  GraphRow made;
  for (const GraphColumn& column : columns) made[column.name] = graph_value(column.expression, row, work);
  return made;
}

// What an aggregate has seen so far of its group.
struct Tally {
  int64_t count = 0;
  std::set<std::string> distinct;
  Json least, most;
};

void add_to(Tally& tally, const GraphExpression& aggregate, const GraphRow& row, GraphWork& work) {
  if (aggregate.name == "count") {
    ++tally.count;
    return;
  }
  if (aggregate.name == "countif") {
    if (graph_matches(aggregate.children.front(), row, work)) ++tally.count;
    return;
  }
  const Json value = graph_value(aggregate.children.front(), row, work);
  if (value.is_null()) return;
  if (aggregate.name == "dcount") {
    tally.distinct.insert(to_canonical_text(value));
    return;
  }
  if (tally.least.is_null() || compare_values(value, tally.least) < 0) tally.least = value;
  if (tally.most.is_null() || compare_values(value, tally.most) > 0) tally.most = value;
}

Json result_of(const Tally& tally, const GraphExpression& aggregate) {
  if (aggregate.name == "dcount") return static_cast<int64_t>(tally.distinct.size());
  if (aggregate.name == "min") return tally.least;
  if (aggregate.name == "max") return tally.most;
  return tally.count;
}

std::vector<GraphRow> summarize(const GraphOperator& by, const std::vector<GraphRow>& rows, GraphWork& work) {
  struct Group {
    GraphRow keys;
    std::vector<Tally> tallies;
  };
  std::vector<Group> groups;  // in the order of their first rows
  std::map<std::string, size_t> index;
  if (by.by.empty()) groups.push_back({{}, std::vector<Tally>(by.columns.size())});
  for (const GraphRow& row : rows) {
    size_t at = 0;
    if (!by.by.empty()) {
      GraphRow keys = projected(by.by, row, work);
      const auto [found, added] = index.try_emplace(to_text(keys), groups.size());
      at = found->second;
      if (added) groups.push_back({std::move(keys), std::vector<Tally>(by.columns.size())});
    }
    for (size_t i = 0; i < by.columns.size(); ++i)
      add_to(groups[at].tallies[i], by.columns[i].expression, row, work);
  }
  std::vector<GraphRow> made;
  for (Group& group : groups) {
    GraphRow row = std::move(group.keys);
    for (size_t i = 0; i < by.columns.size(); ++i)
      row[by.columns[i].name] = result_of(group.tallies[i], by.columns[i].expression);
    made.push_back(std::move(row));
  }
  return made;
}

std::vector<GraphRow> apply(const GraphOperator& step, std::vector<GraphRow> rows, GraphWork& work) {
  using Kind = GraphOperator::Kind;
  switch (step.kind) {
    case Kind::where:
      std::erase_if(rows, [&](const GraphRow& row) { return !graph_matches(step.condition, row, work); });
      return rows;
    case Kind::project:
      for (GraphRow& row : rows) row = projected(step.columns, row, work);
      return rows;
    case Kind::project_away:
      for (GraphRow& row : rows) {
        for (const GraphColumn& column : step.columns) row.erase(column.name);
      }
      return rows;
    case Kind::extend:
      for (GraphRow& row : rows) {
        GraphRow added = projected(step.columns, row, work);
        for (auto& member : added) row[member.key()] = member.value();
      }
      return rows;
    case Kind::order:
      return order(step, std::move(rows), work);
    case Kind::limit:
      if (rows.size() > step.limit) rows.resize(static_cast<size_t>(step.limit));
      return rows;
    case Kind::count:
      return {GraphRow{{"Count", static_cast<int64_t>(rows.size())}}};
    case Kind::summarize:
      return summarize(step, rows, work);
    case Kind::distinct: {
      GraphOperator by;
      by.by = step.columns;
      return summarize(by, rows, work);
    }
  }
  return rows;
}

}  // namespace

Error graph_query_too_expensive() {
  const std::string message =
      "The query makes more of its rows than is allowed, or takes too long. Narrow it with 'where', and make "
      "shorter texts.";
  Error error{ErrorKind::invalid, "BadRequest", message, "query", {}, {}};
  error.details.push_back({"QueryTooExpensive", message, "query"});
  return error;
}

Result<std::vector<GraphRow>> run_graph_query(const GraphQuery& query, std::vector<GraphRow> rows,
                                              GraphWork& work) {
  for (const GraphOperator& step : query.operators) {
    rows = apply(step, std::move(rows), work);
    if (work.is_spent()) return std::unexpected(graph_query_too_expensive());
  }
  for (GraphRow& row : rows) {
    GraphRow ordered;
    for (const std::string& name : query.columns) {
      const Json* value = row.if_contains(name);
      ordered[name] = value == nullptr ? Json(nullptr) : *value;
    }
    row = std::move(ordered);
  }
  return rows;
}

}  // namespace merlon::resource
