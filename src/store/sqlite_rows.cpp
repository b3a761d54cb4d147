// Row operations as prepared statements. SQL text is built from names of the schema alone (checked to be
// [a-z_]+ when the store opens); everything else is bound.
#include "store/sqlite_rows.h"

#include <algorithm>
#include <limits>

namespace merlon::store {
namespace {

std::string index_columns(const TableSpec& table) {
  std::string text;
  for (const IndexSpec& index : table.indexes) text += ", " + column_sql_name(index);
  return text;
}

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

}  // namespace

std::string table_sql_name(const TableSpec& table) { return "\"t_" + table.name + "\""; }

std::string index_sql_name(const TableSpec& table, const IndexSpec& index) {
  // The dot keeps (a, b_c) and (a_b, c) apart: names have none.
  return (index.unique == Unique::yes ? "u." : "x.") + table.name + "." + index.name;
}

std::string column_sql_name(const IndexSpec& index) { return "\"i_" + index.name + "\""; }

std::optional<std::string> prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (end.empty()) return std::nullopt;
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

Result<const TableSpec*> RowAccess::known(const TableSpec& table) const {
  const auto found = layout_.find(table.name);
  if (found == layout_.end() || found->second.indexes.size() != table.indexes.size()) {
    return internal_error("table " + table.name + " is not in the schema that the store was opened with");
  }
  return &found->second;
}

Result<size_t> RowAccess::index_position(const TableSpec& table, std::string_view index) const {
  for (size_t i = 0; i < table.indexes.size(); ++i) {
    if (table.indexes[i].name == index) return i;
  }
  return internal_error("table " + table.name + " has no index " + std::string(index));
}

Result<std::optional<Row>> RowAccess::get(const TableSpec& table, const TenantId& tenant,
                                          std::string_view key) {
  const TableSpec& spec = *TRY(known(table));
  auto query = TRY(connection_.query("SELECT key, body" + index_columns(spec) + " FROM " +
                                     table_sql_name(spec) + " WHERE tenant = ? AND key = ?"));
  query.bind(tenant.text()).bind(key);
  if (!TRY(query.step())) return std::optional<Row>();
  return std::optional<Row>(read_row(query, spec));
}

Result<std::vector<Row>> RowAccess::scan(const TableSpec& table, const TenantId& tenant, const Range& range) {
  const TableSpec& spec = *TRY(known(table));
  std::vector<Row> rows;
  if (range.limit == 0) return rows;
  // One lower and one upper bound: the nearer of the prefix's and the previous page's.
  const std::string after(range.after);
  std::string sql =
      "SELECT key, body" + index_columns(spec) + " FROM " + table_sql_name(spec) + " WHERE tenant = ?";
  const bool after_is_lower = !range.descending && !after.empty() && after >= range.prefix;
  sql += after_is_lower ? " AND key > ?" : " AND key >= ?";
  std::optional<std::string> upper = prefix_end(range.prefix);
  if (range.descending && !after.empty() && (!upper || after < *upper)) upper = after;
  if (upper) sql += " AND key < ?";
  sql += range.descending ? " ORDER BY key DESC LIMIT ?" : " ORDER BY key LIMIT ?";

  auto query = TRY(connection_.query(sql));
  query.bind(tenant.text()).bind(std::string_view(after_is_lower ? after : range.prefix));
  if (upper) query.bind(std::string_view(*upper));
  query.bind(sql_limit(range.limit));
  while (TRY(query.step())) rows.push_back(read_row(query, spec));
  return rows;
}

Result<std::vector<IndexedRow>> RowAccess::scan_index(const TableSpec& table, const TenantId& tenant,
                                                      std::string_view index, const Range& range) {
  const TableSpec& spec = *TRY(known(table));
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
  const TableSpec& spec = *TRY(known(table));
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
  const TableSpec& spec = *TRY(known(table));
  if (row.key.empty()) return internal_error("a row of table " + spec.name + " has no key");
  if (row.index_values.size() != spec.indexes.size()) {
    return internal_error("a row of table " + spec.name + " has " + std::to_string(row.index_values.size()) +
                          " index values instead of " + std::to_string(spec.indexes.size()));
  }
  std::string sql =
      "INSERT INTO " + table_sql_name(spec) + "(tenant, key, body" + index_columns(spec) + ") VALUES(?, ?, ?";
  std::string updates = "body = excluded.body";
  for (const IndexSpec& index : spec.indexes) {
    sql += ", ?";
    updates += ", " + column_sql_name(index) + " = excluded." + column_sql_name(index);
  }
  sql += ") ON CONFLICT(tenant, key) DO UPDATE SET " + updates;
  auto query = TRY(connection_.query(sql));
  query.bind(tenant.text()).bind(std::string_view(row.key)).bind(std::string_view(row.body));
  for (const auto& value : row.index_values) query.bind_optional(value);
  const auto written = query.run();
  if (!written) return std::unexpected(conflict(spec, written.error()));
  return {};
}

// SQLite names the columns of the constraint that failed, never their values.
Error RowAccess::conflict(const TableSpec& table, const Error& error) const {
  if (error.cause.find("UNIQUE constraint failed") == std::string::npos) return error;
  Error refused = fail(ErrorKind::conflict, "Conflict", "").error();
  for (const IndexSpec& index : table.indexes) {
    const std::string column = ".i_" + index.name + " (code ";
    if (index.unique == Unique::yes && error.cause.find(column) != std::string::npos)
      refused.target = index.name;
  }
  refused.message = "Another record of '" + table.name + "' already has this value of '" + refused.target +
                    "'. Choose another value, or change the other record first.";
  refused.cause = error.cause;
  return refused;
}

Result<bool> RowAccess::erase(const TableSpec& table, const TenantId& tenant, std::string_view key) {
  const TableSpec& spec = *TRY(known(table));
  auto query =
      TRY(connection_.query("DELETE FROM " + table_sql_name(spec) + " WHERE tenant = ? AND key = ?"));
  query.bind(tenant.text()).bind(key);
  TRY(query.run());
  return connection_.changes() > 0;
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

Result<void> SqliteTransaction::put(const TableSpec& table, const TenantId& tenant, const Row& row) {
  TRY(alive());
  TRY(rows_.put(table, tenant, row));
  changed_ = true;
  bytes_ += row.key.size() + row.body.size();
  return {};
}

Result<void> SqliteTransaction::erase(const TableSpec& table, const TenantId& tenant, std::string_view key) {
  TRY(alive());
  if (TRY(rows_.erase(table, tenant, key))) changed_ = true;
  return {};
}

}  // namespace merlon::store
