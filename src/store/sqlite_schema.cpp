// Opening a database: identity, version, tables, migrations. Everything that changes the file is one
// transaction, so a server that dies while it upgrades finds the old file whole.
#include "store/sqlite_schema.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>
#include <vector>

#include "base/log.h"

namespace merlon::store {
namespace {

constexpr int64_t kApplicationId =
    0x4d524c4e;             // "MRLN", https://www.sqlite.org/fileformat.html#application_id
constexpr int kFormat = 1;  // of the tables' own form (sqlite_rows.h); a new form gets a new number

std::unexpected<Error> not_ours(const std::string& path) {
  return fail(ErrorKind::unavailable, "NotMerlonDatabase",
              path +
                  " is not a Merlon database; it was left as it is. Name another state directory, or move "
                  "the file away.");
}

void check_name(std::string_view name) {
  MERLON_CHECK(!name.empty());
  for (const char c : name) MERLON_CHECK((c >= 'a' && c <= 'z') || c == '_');
}

Result<int64_t> read_number(Connection& connection, const std::string& sql) {
  auto query = TRY(connection.query(sql));
  if (!TRY(query.step())) return 0;
  return query.number(0);
}

Result<std::string> meta(Connection& connection, std::string_view name) {
  auto query = TRY(connection.query("SELECT value FROM merlon_meta WHERE name = ?"));
  query.bind(name);
  if (!TRY(query.step())) return internal_error("merlon_meta has no " + std::string(name));
  return query.text(0);
}

Result<int> meta_number(Connection& connection, std::string_view name) {
  const std::string text = TRY(meta(connection, name));
  int number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || number < 0) {
    return internal_error("merlon_meta's " + std::string(name) + " is no number: " + text);
  }
  return number;
}

Result<void> set_meta(Connection& connection, std::string_view name, std::string_view value) {
  auto query = TRY(connection.query(
      "INSERT INTO merlon_meta VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value"));
  query.bind(name).bind(value);
  return query.run();
}

// True for a file in which nothing was ever committed by anyone. A database of another program has its number
// or a table.
Result<bool> is_fresh(Connection& connection, const std::string& path) {
  const int64_t id = TRY(read_number(connection, "PRAGMA application_id"));
  if (id == kApplicationId) return false;
  const int64_t objects = TRY(read_number(connection, "SELECT count(*) FROM sqlite_schema"));
  const int64_t version = TRY(read_number(connection, "PRAGMA user_version"));
  if (id != 0 || objects != 0 || version != 0) return not_ours(path);
  return true;
}

Result<void> refuse_newer(Connection& connection, const Schema& schema, const std::string& path) {
  const int format = TRY(meta_number(connection, "format"));
  const int migration = TRY(meta_number(connection, "migration"));
  const int known = static_cast<int>(schema.migrations.size());
  if (format <= kFormat && migration <= known) return {};
  return fail(ErrorKind::unavailable, "NewerDatabase",
              path + " was written by merlon " + TRY(meta(connection, "product_version")) + " (format " +
                  std::to_string(format) + ", schema " + std::to_string(migration) + "); this is merlon " +
                  schema.product_version + ", which knows format " + std::to_string(kFormat) + ", schema " +
                  std::to_string(known) + ". Upgrade merlon; the file was left as it is.");
}

Result<void> create_table(Connection& connection, const TableSpec& table) {
  std::string columns;
  for (const IndexSpec& index : table.indexes) columns += ", " + column_sql_name(index) + " TEXT";
  const std::string sql = "CREATE TABLE " + table_sql_name(table) +
                          "(tenant TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL" + columns +
                          ", PRIMARY KEY(tenant, key)) STRICT, WITHOUT ROWID";
  return connection.execute(sql.c_str());
}

Result<void> create_index(Connection& connection, const TableSpec& table, const IndexSpec& index) {
  const std::string column = column_sql_name(index);
  const bool unique = index.unique == Unique::yes;
  const std::string sql = std::string("CREATE ") + (unique ? "UNIQUE " : "") + "INDEX \"" +
                          index_sql_name(table, index) + "\" ON " + table_sql_name(table) + "(tenant, " +
                          column + (unique ? "" : ", key") + ") WHERE " + column + " IS NOT NULL";
  return connection.execute(sql.c_str());
}

Result<std::set<std::string>> names(Connection& connection, const std::string& sql,
                                    const std::string& table) {
  auto query = TRY(connection.query(sql));
  query.bind(std::string_view(table));
  std::set<std::string> found;
  while (TRY(query.step())) found.insert(query.text(0));
  return found;
}

struct Shape {
  std::set<std::string> columns;  // of indexes
  std::set<std::string> indexes;
  bool operator==(const Shape&) const = default;
};

Result<Shape> shape_in_file(Connection& connection, const TableSpec& table) {
  const std::string name = "t_" + table.name;
  Shape shape;
  shape.columns = TRY(names(
      connection, "SELECT name FROM pragma_table_info(?) WHERE name NOT IN ('tenant', 'key', 'body')", name));
  shape.indexes = TRY(names(
      connection, "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
      name));
  return shape;
}

Shape shape_wanted(const TableSpec& table) {
  Shape shape;
  for (const IndexSpec& index : table.indexes) {
    shape.columns.insert("i_" + index.name);
    shape.indexes.insert(index_sql_name(table, index));
  }
  return shape;
}

// An index that rows do not fill yet would silently hide them, and one that this program no longer fills
// would go stale: a table that has rows changes its indexes only together with a migration that writes those
// rows again.
Result<void> change_indexes(Connection& connection, const TableSpec& table, const Shape& found,
                            bool migrating) {
  const Shape wanted = shape_wanted(table);
  if (found == wanted) return {};
  const int64_t rows =
      TRY(read_number(connection, "SELECT EXISTS(SELECT 1 FROM " + table_sql_name(table) + ")"));
  if (rows != 0 && !migrating) {
    return fail(
        ErrorKind::unavailable, "SchemaMismatch",
        "The database's table '" + table.name +
            "' has other indexes than this merlon knows, and no migration leads from one to the other. "
            "Run the merlon that wrote it, or a newer one; the file was left as it is.");
  }
  const auto run = [&](const std::string& sql) { return connection.execute(sql.c_str()); };
  for (const std::string& index : found.indexes) {
    if (!wanted.indexes.contains(index)) TRY(run("DROP INDEX \"" + index + "\""));
  }
  for (const std::string& column : found.columns) {
    if (!wanted.columns.contains(column)) {
      TRY(run("ALTER TABLE " + table_sql_name(table) + " DROP COLUMN \"" + column + "\""));
    }
  }
  for (const IndexSpec& index : table.indexes) {
    if (!found.columns.contains("i_" + index.name)) {
      TRY(run("ALTER TABLE " + table_sql_name(table) + " ADD COLUMN " + column_sql_name(index) + " TEXT"));
    }
    if (!found.indexes.contains(index_sql_name(table, index))) TRY(create_index(connection, table, index));
  }
  return {};
}

Result<void> bring_table(Connection& connection, const TableSpec& table, bool migrating) {
  const std::set<std::string> exists = TRY(names(
      connection, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?", "t_" + table.name));
  if (!exists.empty())
    return change_indexes(connection, table, TRY(shape_in_file(connection, table)), migrating);
  TRY(create_table(connection, table));
  for (const IndexSpec& index : table.indexes) TRY(create_index(connection, table, index));
  return {};
}

Result<void> run_migrations(Connection& connection, const Layout& layout, const Schema& schema, int done,
                            std::vector<std::function<void()>>& effects) {
  for (const Migration& migration : schema.migrations) {
    if (migration.number <= done) continue;
    SqliteTransaction transaction(connection, layout);
    const auto applied = migration.apply(transaction);
    if (!applied) {
      Error error = applied.error();
      error.message = "Migration " + std::to_string(migration.number) + " (" + migration.name +
                      ") failed and the database was left as it was: " + error.message;
      return std::unexpected(std::move(error));
    }
    for (auto& effect : transaction.take_effects()) effects.push_back(std::move(effect));
    TRY(set_meta(connection, "migration", std::to_string(migration.number)));
    log(LogLevel::info, "database migrated", {{"number", migration.number}, {"name", migration.name}});
  }
  return {};
}

Result<void> bring_up(Connection& connection, const Layout& layout, const Schema& schema, bool fresh,
                      std::vector<std::function<void()>>& effects) {
  if (fresh) {
    TRY(connection.execute(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str()));
    TRY(
        connection.execute("CREATE TABLE merlon_meta(name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) "
                           "STRICT, WITHOUT ROWID"));
    TRY(set_meta(connection, "format", std::to_string(kFormat)));
    TRY(set_meta(connection, "migration", "0"));
    TRY(set_meta(connection, "product_version", schema.product_version));
  }
  const int done = TRY(meta_number(connection, "migration"));
  const bool migrating = done < static_cast<int>(schema.migrations.size());
  for (const auto& [name, table] : layout) TRY(bring_table(connection, table, migrating));
  TRY(run_migrations(connection, layout, schema, done, effects));
  if (TRY(meta(connection, "product_version")) != schema.product_version) {
    TRY(set_meta(connection, "product_version", schema.product_version));
  }
  return {};
}

Result<void> use_write_ahead_log(Connection& connection, const std::string& path) {
  auto query = TRY(connection.query("PRAGMA journal_mode=WAL"));
  if (TRY(query.step()) && query.text(0) == "wal") return {};
  return fail(ErrorKind::unavailable, "StateDirectory",
              "The file system of " + path +
                  " cannot hold a write-ahead log (is it a network file system?). " +
                  "Put the state directory on a local disk.");
}

}  // namespace

Layout layout_of(const Schema& schema) {
  Layout layout;
  for (const TableSpec& table : schema.tables) {
    check_name(table.name);
    std::set<std::string> seen;
    for (const IndexSpec& index : table.indexes) {
      check_name(index.name);
      MERLON_CHECK(seen.insert(index.name).second);
    }
    const bool added = layout.emplace(table.name, table).second;
    MERLON_CHECK(added);
  }
  for (size_t i = 0; i < schema.migrations.size(); ++i) {
    MERLON_CHECK(schema.migrations[i].number == static_cast<int>(i) + 1);
  }
  return layout;
}

Result<void> prepare_database(Connection& connection, const Layout& layout, const Schema& schema,
                              const std::string& path) {
  const bool fresh = TRY(is_fresh(connection, path));
  if (!fresh) TRY(refuse_newer(connection, schema, path));
  TRY(use_write_ahead_log(connection, path));
  std::vector<std::function<void()>> effects;
  TRY(connection.execute("BEGIN IMMEDIATE"));
  auto done = bring_up(connection, layout, schema, fresh, effects);
  if (done) done = connection.execute("COMMIT");
  if (!done) {
    if (connection.in_transaction()) TRY(connection.execute("ROLLBACK"));
    return done;
  }
  for (const auto& effect : effects) effect();
  return {};
}

}  // namespace merlon::store
