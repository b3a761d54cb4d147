// Row operations as prepared statements with binary parameters.
#include "store/postgres_rows.h"

#include <algorithm>
#include <limits>

namespace merlon::store {
namespace {

constexpr size_t kRecordBytesMax = 80 * 1024 * 1024;  // as for SQLite

// Columns: key, body, then one per index.
Row read_row(const Answer& answer, int row, const TableSpec& table) {
  Row read{answer.text(row, 0), answer.text(row, 1), {}};
  read.index_values.reserve(table.indexes.size());
  for (size_t i = 0; i < table.indexes.size(); ++i) {
    read.index_values.push_back(answer.optional_text(row, static_cast<int>(i) + 2));
  }
  return read;
}

std::vector<Row> read_rows(const Answer& answer, const TableSpec& table) {
  std::vector<Row> rows;
  rows.reserve(static_cast<size_t>(answer.rows()));
  for (int row = 0; row < answer.rows(); ++row) rows.push_back(read_row(answer, row, table));
  return rows;
}

std::string select(const TableSpec& table) {
  return "SELECT key, body" + index_columns(table) + " FROM " + table_sql_name(table) + " WHERE tenant = $1";
}

// Adds conditions with their parameters, numbered as they come.
class Conditions {
 public:
  Conditions(std::string sql, const TenantId& tenant) : sql_(std::move(sql)) {
    parameters_.text(tenant.text());
  }
  void add(const std::string& left, std::string_view value) {
    sql_ += " AND " + left + "$" + std::to_string(++count_);
    parameters_.bytes(value);
  }
  void add_pair(const std::string& left, std::string_view first, std::string_view second) {
    sql_ += " AND " + left + "($" + std::to_string(count_ + 1) + ", $" + std::to_string(count_ + 2) + ")";
    count_ += 2;
    parameters_.bytes(first).bytes(second);
  }
  void append(const std::string& text) { sql_ += text; }
  void limit(size_t rows) {
    sql_ += " LIMIT $" + std::to_string(++count_);
    parameters_.number(static_cast<int64_t>(std::min<size_t>(rows, std::numeric_limits<int64_t>::max())));
  }
  Result<Answer> run(PostgresConnection& connection) const { return connection.run(sql_, parameters_); }

 private:
  std::string sql_;
  Parameters parameters_;
  int count_ = 1;
};

}  // namespace

Result<std::optional<Row>> PostgresRows::get(const TableSpec& table, const TenantId& tenant,
                                             std::string_view key) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  Conditions query(select(spec), tenant);
  query.add("key = ", key);
  const Answer answer = TRY(query.run(connection_));
  if (answer.rows() == 0) return std::optional<Row>();
  return std::optional<Row>(read_row(answer, 0, spec));
}

Result<std::vector<Row>> PostgresRows::scan(const TableSpec& table, const TenantId& tenant,
                                            const Range& range) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  if (range.limit == 0) return std::vector<Row>();
  const KeyBounds bounds = key_bounds(range);
  Conditions query(select(spec), tenant);
  query.add(bounds.lower_is_exclusive ? "key > " : "key >= ", bounds.lower);
  if (bounds.upper) query.add("key < ", *bounds.upper);
  query.append(range.descending ? " ORDER BY key DESC" : " ORDER BY key");
  query.limit(range.limit);
  return read_rows(TRY(query.run(connection_)), spec);
}

Result<std::vector<IndexedRow>> PostgresRows::scan_index(const TableSpec& table, const TenantId& tenant,
                                                         std::string_view index, const Range& range) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  const size_t position = TRY(index_position(spec, index));
  std::vector<IndexedRow> rows;
  if (range.limit == 0) return rows;
  const std::string column = column_sql_name(spec.indexes[position]);
  Conditions query(select(spec) + " AND " + column + " IS NOT NULL", tenant);
  query.add(column + " >= ", range.prefix);
  const std::optional<std::string> upper = prefix_end(range.prefix);
  if (upper) query.add(column + " < ", *upper);
  const std::string beyond = range.descending ? " < " : " > ";
  if (!range.after_key.empty()) {
    query.add_pair("(" + column + ", key)" + beyond, range.after, range.after_key);
  } else if (!range.after.empty()) {
    query.add(column + beyond, range.after);
  }
  const std::string direction = range.descending ? " DESC" : "";
  query.append(" ORDER BY " + column + direction + ", key" + direction);
  query.limit(range.limit);
  for (Row& row : read_rows(TRY(query.run(connection_)), spec)) {
    std::string value = row.index_values[position].value_or("");
    rows.push_back({std::move(value), std::move(row)});
  }
  return rows;
}

Result<std::vector<Row>> PostgresRows::find(const TableSpec& table, const TenantId& tenant,
                                            std::string_view index, std::string_view value) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  const std::string column = column_sql_name(spec.indexes[TRY(index_position(spec, index))]);
  Conditions query(select(spec) + " AND " + column + " IS NOT NULL", tenant);
  query.add(column + " = ", value);
  query.append(" ORDER BY key");
  return read_rows(TRY(query.run(connection_)), spec);
}

// A statement that fails ends PostgreSQL's transaction, but a conflict is an answer that the caller may live
// with. So the row is written only where no other holds its unique values: nobody else writes (the writer's
// row, postgres_writer.h), so what this statement sees stays true until COMMIT. The unique index stands
// behind.
Result<void> PostgresRows::put(const TableSpec& table, const TenantId& tenant, const Row& row) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  TRY(fits_table(spec, row));
  if (row.key.size() + row.body.size() > kRecordBytesMax)
    return fail(ErrorKind::too_large, "RecordTooLarge",
                "Nothing was changed: the record is larger than " + std::to_string(kRecordBytesMax) +
                    " bytes. Store less in it.");
  std::string values = "$1, $2, $3";
  std::string updates = "body = excluded.body";
  std::string free;
  Parameters parameters;
  parameters.text(tenant.text()).bytes(row.key).bytes(row.body);
  for (size_t i = 0; i < spec.indexes.size(); ++i) {
    const std::string column = column_sql_name(spec.indexes[i]);
    const std::string value = "$" + std::to_string(i + 4);
    values += ", " + value;
    updates += ", " + column + " = excluded." + column;
    parameters.optional_bytes(row.index_values[i]);
    if (spec.indexes[i].unique == Unique::no) continue;
    free += (free.empty() ? " WHERE" : " AND") + std::string(" NOT EXISTS(SELECT 1 FROM ") +
            table_sql_name(spec) + " WHERE tenant = $1 AND " + column + " = " + value + " AND key <> $2)";
  }
  const Answer written = TRY(connection_.run("INSERT INTO " + table_sql_name(spec) + "(tenant, key, body" +
                                                 index_columns(spec) + ") SELECT " + values + free +
                                                 " ON CONFLICT(tenant, key) DO UPDATE SET " + updates,
                                             parameters));
  if (written.affected() == 1) return {};
  return std::unexpected(TRY(conflict(spec, tenant, row)));
}

Result<Error> PostgresRows::conflict(const TableSpec& table, const TenantId& tenant, const Row& row) {
  std::string held;
  for (size_t i = 0; i < table.indexes.size() && held.empty(); ++i) {
    if (table.indexes[i].unique == Unique::no || !row.index_values[i]) continue;
    for (const Row& other : TRY(find(table, tenant, table.indexes[i].name, *row.index_values[i])))
      if (other.key != row.key) held = table.indexes[i].name;
  }
  return conflict_error(table, held);
}

Result<bool> PostgresRows::erase(const TableSpec& table, const TenantId& tenant, std::string_view key) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  Conditions query("DELETE FROM " + table_sql_name(spec) + " WHERE tenant = $1", tenant);
  query.add("key = ", key);
  return TRY(query.run(connection_)).affected() > 0;
}

Result<std::vector<std::string>> PostgresRows::tenants(const TableSpec& table) {
  const TableSpec& spec = *TRY(known_table(layout_, table));
  const Answer answer =
      TRY(connection_.run("SELECT DISTINCT tenant FROM " + table_sql_name(spec) + " ORDER BY tenant"));
  std::vector<std::string> tenants;
  for (int row = 0; row < answer.rows(); ++row) tenants.push_back(answer.text(row, 0));
  return tenants;
}

Result<void> PostgresTransaction::put(const TableSpec& table, const TenantId& tenant, const Row& row) {
  TRY(keep(rows_.put(table, tenant, row)));
  changed_ = true;
  bytes_ += row.key.size() + row.body.size();
  return {};
}

Result<void> PostgresTransaction::erase(const TableSpec& table, const TenantId& tenant,
                                        std::string_view key) {
  if (TRY(keep(rows_.erase(table, tenant, key)))) changed_ = true;
  return {};
}

}  // namespace merlon::store
