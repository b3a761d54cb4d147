// Opening a database file: whose it is, and SQLite's part in bringing it to the schema.
#include "store/sqlite_schema.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "store/schema_upgrade.h"

namespace merlon::store {
namespace {

constexpr int64_t kApplicationId =
    0x4d524c4e;  // "MRLN", https://www.sqlite.org/fileformat.html#application_id

std::unexpected<Error> not_ours(const std::string& path) {
  return fail(ErrorKind::unavailable, "NotMerlonDatabase",
              path +
                  " is not a Merlon database; it was left as it is. Name another state directory, or move "
                  "the file away.");
}

Result<int64_t> read_number(Connection& connection, const std::string& sql) {
  auto query = TRY(connection.query(sql));
  if (!TRY(query.step())) return 0;
  return query.number(0);
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

class SqliteSchema final : public SchemaTarget {
 public:
  SqliteSchema(Connection& connection, const Layout& layout, std::string path)
      : connection_(connection), layout_(layout), path_(std::move(path)) {}

  std::string name() const override { return path_; }
  std::string column_type() const override { return "TEXT"; }
  Result<void> execute(const std::string& sql) override {
    known_.reset();
    return connection_.execute(sql.c_str());
  }

  Result<std::string> meta(std::string_view key) override {
    auto query = TRY(connection_.query("SELECT value FROM merlon_meta WHERE name = ?"));
    query.bind(key);
    if (!TRY(query.step())) return internal_error("merlon_meta has no " + std::string(key));
    return query.text(0);
  }
  Result<void> set_meta(std::string_view key, std::string_view value) override {
    auto query = TRY(connection_.query(
        "INSERT INTO merlon_meta VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value"));
    query.bind(key).bind(value);
    return query.run();
  }
  Result<bool> table_exists(const TableSpec& table) override {
    return TRY(known())->columns.contains("t_" + table.name);
  }
  Result<bool> table_has_rows(const TableSpec& table) override {
    return TRY(read_number(connection_, "SELECT EXISTS(SELECT 1 FROM " + table_sql_name(table) + ")")) != 0;
  }
  Result<std::set<std::string>> columns_of_indexes(const TableSpec& table) override {
    return TRY(known())->columns["t_" + table.name];
  }
  Result<std::set<std::string>> indexes(const TableSpec& table) override {
    return TRY(known())->indexes["t_" + table.name];
  }
  Result<void> create_table(const TableSpec& table) override {
    std::string columns;
    for (const IndexSpec& index : table.indexes) columns += ", " + column_sql_name(index) + " TEXT";
    return execute("CREATE TABLE " + table_sql_name(table) +
                   "(tenant TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL" + columns +
                   ", PRIMARY KEY(tenant, key)) STRICT, WITHOUT ROWID");
  }
  Result<void> migrate(const Work& work, Effects& effects) override {
    SqliteTransaction transaction(connection_, layout_, {});
    TRY(work(transaction));
    for (auto& effect : transaction.take_effects()) effects.push_back(std::move(effect));
    return {};
  }

 private:
  using Names = std::map<std::string, std::set<std::string>>;  // by table
  struct Known {
    Names columns, indexes;  // each table has columns
  };

  // All at once: there are dozens of tables, and a server that starts has somebody waiting.
  Result<Known*> known() {
    if (!known_) {
      Known read;
      read.columns =
          TRY(names("SELECT tables.name, columns.name FROM sqlite_schema AS tables "
                    "JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"));
      for (auto& [table, columns] : read.columns)
        for (const char* own : {"tenant", "key", "body"}) columns.erase(own);
      read.indexes =
          TRY(names("SELECT tbl_name, name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"));
      known_ = std::move(read);
    }
    return &*known_;
  }
  Result<Names> names(const std::string& sql) {
    auto query = TRY(connection_.query(sql));
    Names found;
    while (TRY(query.step())) found[query.text(0)].insert(query.text(1));
    return found;
  }

  Connection& connection_;
  const Layout& layout_;
  std::string path_;
  std::optional<Known> known_;
};

Result<void> create_meta(Connection& connection, SqliteSchema& target, const Schema& schema) {
  TRY(connection.execute(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str()));
  TRY(
      connection.execute("CREATE TABLE merlon_meta(name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) "
                         "STRICT, WITHOUT ROWID"));
  return write_first_meta(target, schema);
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

Result<void> prepare_database(Connection& connection, const Layout& layout, const Schema& schema,
                              const std::string& path) {
  SqliteSchema target(connection, layout, path);
  const bool fresh = TRY(is_fresh(connection, path));
  if (!fresh) TRY(refuse_newer(target, schema));
  TRY(use_write_ahead_log(connection, path));
  Effects effects;
  TRY(connection.execute("BEGIN IMMEDIATE"));
  auto done = fresh ? create_meta(connection, target, schema) : Result<void>();
  if (done) done = bring_up(target, layout, schema, effects);
  if (done) done = connection.execute("COMMIT");
  if (!done) {
    if (connection.in_transaction()) TRY(connection.execute("ROLLBACK"));
    return done;
  }
  for (const auto& effect : effects) effect();
  return {};
}

Result<void> expect_database(Connection& connection, const Layout& layout, const Schema& schema,
                             const std::string& path) {
  SqliteSchema target(connection, layout, path);
  if (TRY(is_fresh(connection, path))) return not_ours(path);
  return expect_schema(target, schema);
}

}  // namespace merlon::store
