// Row operations as prepared statements.
#include "store/sqlite_rows.h"

#include <algorithm>
#include <limits>

namespace merlon::store {
namespace {

int64_t sql_limit(size_t limit) {
  return static_cast<int64_t>(std::min<size_t>(limit, std::numeric_limits<int64_t>::max()));
}

// Columns: key, body, then one per index.
Row read_row(const Query& query, const TableSpec& table) {
  Row row{query.text(0), query.text(1), {}};
  row.index_values.reserve(table.indexes.size());
  for (size_t i = 0; i < table.indexes.size(); ++i) {
    row.index_values.push_back(query.optional_text(static_cast<int>(i) + 2));
  }
  return row;
}

// The texts that are the same for every row of a table.
enum : size_t { kGet, kPut, kPutSameIndexes, kErase };

std::string insert_sql(const TableSpec& spec) {
  std::string sql =
      "INSERT INTO " + table_sql_name(spec) + "(tenant, key, body" + index_columns(spec) + ") VALUES(?, ?, ?";
  for (size_t i = 0; i < spec.indexes.size(); ++i) sql += ", ?";
  return sql + ") ON CONFLICT(tenant, key) DO UPDATE SET body = excluded.body";
}

std::string upsert_sql(const TableSpec& spec) {
  std::string sql = insert_sql(spec);
  for (const IndexSpec& index : spec.indexes)
    sql += ", " + column_sql_name(index) + " = excluded." + column_sql_name(index);
  return sql;
}

// Changes nothing where a row is there with other index values. SQLite writes an index anew whose column is
// assigned, also where the value stays what it was; most rows keep theirs for life.
std::string upsert_of_same_indexes_sql(const TableSpec& spec) {
  std::string sql = insert_sql(spec);
  std::string separator = " WHERE ";
  for (const IndexSpec& index : spec.indexes) {
    sql += separator + column_sql_name(index) + " IS excluded." + column_sql_name(index);
    separator = " AND ";
  }
  return sql;
}

}  // namespace

Result<std::optional<Row>> RowAccess::get(const TableSpec& table, const TenantId& tenant,
                                          std::string_view key) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  auto query = TRY(connection_.query(&spec, kGet, [&spec] {
    return "SELECT key, body" + index_columns(spec) + " FROM " + table_sql_name(spec) +
           " WHERE tenant = ? AND key = ?";
  }));
  query.bind(tenant.text()).bind(key);
  if (!TRY(query.step())) return std::optional<Row>();
  return std::optional<Row>(read_row(query, spec));
}

Result<std::vector<Row>> RowAccess::scan(const TableSpec& table, const TenantId& tenant, const Range& range) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  std::vector<Row> rows;
  if (range.limit == 0) return rows;
  const KeyBounds bounds = key_bounds(range);
  std::string sql =
      "SELECT key, body" + index_columns(spec) + " FROM " + table_sql_name(spec) + " WHERE tenant = ?";
  sql += bounds.lower_is_exclusive ? " AND key > ?" : " AND key >= ?";
  if (bounds.upper) sql += " AND key < ?";
  sql += range.descending ? " ORDER BY key DESC LIMIT ?" : " ORDER BY key LIMIT ?";

  auto query = TRY(connection_.query(sql));
  query.bind(tenant.text()).bind(std::string_view(bounds.lower));
  if (bounds.upper) query.bind(std::string_view(*bounds.upper));
  query.bind(sql_limit(range.limit));
  while (TRY(query.step())) rows.push_back(read_row(query, spec));
  return rows;
}

Result<std::vector<IndexedRow>> RowAccess::scan_index(const TableSpec& table, const TenantId& tenant,
                                                      std::string_view index, const Range& range) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  const size_t position = TRY(index_position(spec, index));
  std::vector<IndexedRow> rows;
  if (range.limit == 0) return rows;
  const std::string column = column_sql_name(spec.indexes[position]);
  // INDEXED BY makes a plan that would read the whole table an error instead of a slow surprise; IS NOT NULL
  // lets the planner use the partial index (https://www.sqlite.org/partialindex.html).
  std::string sql = "SELECT key, body" + index_columns(spec) + " FROM " + table_sql_name(spec) +
                    " INDEXED BY \"" + index_sql_name(spec, spec.indexes[position]) +
                    "\" WHERE tenant = ? AND " + column + " IS NOT NULL AND " + column + " >= ?";
  const std::optional<std::string> upper = prefix_end(range.prefix);
  if (upper) sql += " AND " + column + " < ?";
  const bool after_pair = !range.after_key.empty();
  const bool after_value = !after_pair && !range.after.empty();
  const std::string beyond = range.descending ? " < " : " > ";
  if (after_pair) sql += " AND (" + column + ", key)" + beyond + "(?, ?)";
  if (after_value) sql += " AND " + column + beyond + "?";
  const std::string direction = range.descending ? " DESC" : "";
  sql += " ORDER BY " + column + direction + ", key" + direction + " LIMIT ?";

  auto query = TRY(connection_.query(sql));
  query.bind(tenant.text()).bind(std::string_view(range.prefix));
  if (upper) query.bind(std::string_view(*upper));
  if (after_pair || after_value) query.bind(std::string_view(range.after));
  if (after_pair) query.bind(std::string_view(range.after_key));
  query.bind(sql_limit(range.limit));
  while (TRY(query.step())) {
    Row row = read_row(query, spec);
    std::string value = row.index_values[position].value_or("");
    rows.push_back({std::move(value), std::move(row)});
  }
  return rows;
}

Result<std::vector<Row>> RowAccess::find(const TableSpec& table, const TenantId& tenant,
                                         std::string_view index, std::string_view value) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  const IndexSpec& found = spec.indexes[TRY(index_position(spec, index))];
  const std::string column = column_sql_name(found);
  auto query =
      TRY(connection_.query("SELECT key, body" + index_columns(spec) + " FROM " + table_sql_name(spec) +
                            " INDEXED BY \"" + index_sql_name(spec, found) + "\" WHERE tenant = ? AND " +
                            column + " IS NOT NULL AND " + column + " = ? ORDER BY key"));
  query.bind(tenant.text()).bind(value);
  std::vector<Row> rows;
  while (TRY(query.step())) rows.push_back(read_row(query, spec));
  return rows;
}

Result<void> RowAccess::put(const TableSpec& table, const TenantId& tenant, const Row& row) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  TRY(fits_table(spec, row));
  const auto run = [&](Query query) -> Result<void> {
    query.bind(tenant.text()).bind(std::string_view(row.key)).bind(std::string_view(row.body));
    for (const auto& value : row.index_values) query.bind_optional(value);
    const auto written = query.run();
    if (!written) return std::unexpected(conflict(spec, written.error()));
    return {};
  };
  if (!spec.indexes.empty()) {
    TRY(run(
        TRY(connection_.query(&spec, kPutSameIndexes, [&] { return upsert_of_same_indexes_sql(spec); }))));
    if (connection_.changes() > 0) return {};
  }
  return run(TRY(connection_.query(&spec, kPut, [&spec] { return upsert_sql(spec); })));
}

// SQLite names the columns of the constraint that failed, never their values.
Error RowAccess::conflict(const TableSpec& table, const Error& error) const {
  if (error.cause.find("UNIQUE constraint failed") == std::string::npos) return error;
  std::string held;
  for (const IndexSpec& index : table.indexes) {
    const std::string column = ".i_" + index.name + " (code ";
    if (index.unique == Unique::yes && error.cause.find(column) != std::string::npos) held = index.name;
  }
  Error refused = conflict_error(table, held);
  refused.cause = error.cause;
  return refused;
}

Result<bool> RowAccess::erase(const TableSpec& table, const TenantId& tenant, std::string_view key) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  auto query = TRY(connection_.query(&spec, kErase, [&spec] {
    return "DELETE FROM " + table_sql_name(spec) + " WHERE tenant = ? AND key = ?";
  }));
  query.bind(tenant.text()).bind(key);
  TRY(query.run());
  return connection_.changes() > 0;
}

Result<std::vector<TenantId>> RowAccess::tenants(const TableSpec& table) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  auto query =
      TRY(connection_.query("SELECT DISTINCT tenant FROM " + table_sql_name(spec) + " ORDER BY tenant"));
  std::vector<TenantId> tenants;
  while (TRY(query.step())) {
    const auto id = Uuid::parse(query.text(0));
    if (!id) return internal_error("table " + spec.name + " has rows of a tenant that is no UUID");
    tenants.push_back({*id});
  }
  return tenants;
}

// After some errors SQLite has rolled the whole transaction back by itself; a later statement would then
// commit alone.
Result<void> SqliteTransaction::alive() const {
  if (!connection_.in_transaction())
    return internal_error("the transaction has ended after an earlier error");
  return {};
}

Result<std::optional<Row>> SqliteTransaction::get(const TableSpec& table, const TenantId& tenant,
                                                  std::string_view key) {
  TRY(alive());
  return rows_.get(table, tenant, key);
}

Result<std::vector<Row>> SqliteTransaction::scan(const TableSpec& table, const TenantId& tenant,
                                                 const Range& range) {
  TRY(alive());
  return rows_.scan(table, tenant, range);
}

Result<std::vector<IndexedRow>> SqliteTransaction::scan_index(const TableSpec& table, const TenantId& tenant,
                                                              std::string_view index, const Range& range) {
  TRY(alive());
  return rows_.scan_index(table, tenant, index, range);
}

Result<std::vector<Row>> SqliteTransaction::find(const TableSpec& table, const TenantId& tenant,
                                                 std::string_view index, std::string_view value) {
  TRY(alive());
  return rows_.find(table, tenant, index, value);
}

Result<void> SqliteTransaction::before_change(const TableSpec& table) {
  TRY(alive());
  if (savepoint_ == Savepoint::when_it_changes && !has_savepoint_) {
    TRY(connection_.run("SAVEPOINT one"));
    has_savepoint_ = true;
  }
  if (company_.changed != nullptr && !company_.changed->contains(table.name))
    company_.changed->insert(table.name);
  return {};
}

Result<void> SqliteTransaction::end_savepoint(bool keep) {
  if (!has_savepoint_) return {};
  if (!keep) TRY(connection_.run("ROLLBACK TO one"));
  return connection_.run("RELEASE one");
}

Result<void> SqliteTransaction::put(const TableSpec& table, const TenantId& tenant, const Row& row) {
  TRY(before_change(table));
  TRY(rows_.put(table, tenant, row));
  changed_ = true;
  bytes_ += row.key.size() + row.body.size();
  return {};
}

Result<void> SqliteTransaction::erase(const TableSpec& table, const TenantId& tenant, std::string_view key) {
  TRY(before_change(table));
  if (TRY(rows_.erase(table, tenant, key))) changed_ = true;
  return {};
}

}  // namespace merlon::store
