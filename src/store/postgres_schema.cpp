// PostgreSQL's part in bringing a database to the schema.
#include "store/postgres_schema.h"

#include <set>

#include "store/postgres_rows.h"
#include "store/schema_upgrade.h"

namespace merlon::store {
namespace {

constexpr int64_t kStartLock = 0x4d524c4e;  // "MRLN", among the advisory locks of the database

std::unexpected<Error> not_ours(const std::string& name) {
  return fail(
      ErrorKind::unavailable, "NotMerlonDatabase",
      "The database " + name +
          " has a schema 'merlon' that is not Merlon's; it was left as it is. Name another database.");
}

class PostgresSchema final : public SchemaTarget {
 public:
  PostgresSchema(PostgresConnection& connection, const Layout& layout, std::string name)
      : connection_(connection), layout_(layout), name_(std::move(name)) {}

  std::string name() const override { return "The database " + name_; }
  std::string column_type() const override { return "bytea"; }
  Result<void> execute(const std::string& sql) override {
    TRY(connection_.execute(sql));
    return {};
  }
  Result<std::string> meta(std::string_view key) override {
    const Answer found =
        TRY(connection_.run("SELECT value FROM merlon_meta WHERE name = $1", Parameters().text(key)));
    if (found.rows() == 0) return internal_error("merlon_meta has no " + std::string(key));
    return found.text(0, 0);
  }
  Result<void> set_meta(std::string_view key, std::string_view value) override {
    TRY(
        connection_.run("INSERT INTO merlon_meta VALUES($1, $2) ON CONFLICT(name) DO UPDATE SET value = "
                        "excluded.value",
                        Parameters().text(key).text(value)));
    return {};
  }
  Result<bool> has_relation(std::string_view relation) {
    return TRY(connection_.run("SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
                               "n.nspname = 'merlon' AND c.relkind = 'r' AND c.relname = $1",
                               Parameters().text(relation)))
               .rows() != 0;
  }
  Result<bool> has_schema() {
    return TRY(connection_.run("SELECT 1 FROM pg_namespace WHERE nspname = 'merlon'")).rows() != 0;
  }
  Result<bool> table_exists(const TableSpec& table) override { return has_relation("t_" + table.name); }
  Result<bool> table_has_rows(const TableSpec& table) override {
    return TRY(connection_.run("SELECT 1 FROM " + table_sql_name(table) + " LIMIT 1")).rows() != 0;
  }
  Result<std::set<std::string>> columns_of_indexes(const TableSpec& table) override {
    return names(
        "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace "
        "n ON n.oid = c.relnamespace WHERE n.nspname = 'merlon' AND c.relname = $1 AND a.attnum > 0 "
        "AND NOT a.attisdropped AND a.attname NOT IN ('tenant', 'key', 'body')",
        table);
  }
  Result<std::set<std::string>> indexes(const TableSpec& table) override {
    return names(
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON "
        "c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'merlon' "
        "AND c.relname = $1 AND NOT x.indisprimary",
        table);
  }
  Result<void> create_table(const TableSpec& table) override {
    std::string columns;
    for (const IndexSpec& index : table.indexes) columns += ", " + column_sql_name(index) + " bytea";
    return execute("CREATE TABLE " + table_sql_name(table) +
                   "(tenant text COLLATE \"C\" NOT NULL, key bytea NOT NULL, body bytea NOT NULL" + columns +
                   ", CONSTRAINT \"p." + table.name + "\" PRIMARY KEY(tenant, key))");
  }
  Result<void> migrate(const Work& work, Effects& effects) override {
    PostgresTransaction transaction(connection_, layout_);
    const auto done = run_guarded(work, transaction);
    if (connection_.in_failed_transaction() && transaction.failure())
      return std::unexpected(*transaction.failure());
    TRY(Result<void>(done));
    for (auto& effect : transaction.take_effects()) effects.push_back(std::move(effect));
    return {};
  }

 private:
  Result<std::set<std::string>> names(const std::string& sql, const TableSpec& table) {
    const std::string name = "t_" + table.name;
    const Answer answer = TRY(connection_.run(sql, Parameters().text(name)));
    std::set<std::string> found;
    for (int row = 0; row < answer.rows(); ++row) found.insert(answer.text(row, 0));
    return found;
  }

  PostgresConnection& connection_;
  const Layout& layout_;
  std::string name_;
};

Result<void> create_schema(PostgresSchema& target, const Schema& schema) {
  TRY(target.execute("CREATE SCHEMA merlon"));
  TRY(target.execute("CREATE TABLE merlon_meta(name text COLLATE \"C\" PRIMARY KEY, value text NOT NULL)"));
  // Updated at every commit: room on its page for the versions that are not swept up yet.
  TRY(target.execute(
      "CREATE TABLE merlon_writer(id smallint PRIMARY KEY CHECK(id = 1), commits bigint NOT NULL, "
      "migration bigint NOT NULL) WITH (fillfactor = 10)"));
  TRY(target.execute("INSERT INTO merlon_writer VALUES(1, 0, 0)"));
  return write_first_meta(target, schema);
}

Result<void> bring_database(PostgresConnection& connection, const Layout& layout, const Schema& schema,
                            const std::string& name, Effects& effects) {
  PostgresSchema target(connection, layout, name);
  if (!TRY(target.has_schema())) {
    TRY(create_schema(target, schema));
  } else if (!TRY(target.has_relation("merlon_meta")) || !TRY(target.has_relation("merlon_writer"))) {
    return not_ours(name);
  }
  TRY(refuse_newer(target, schema));
  // Servers that run write nothing until the upgrade is committed; then they see `migration` and end.
  TRY(connection.execute("SELECT 1 FROM merlon_writer FOR UPDATE"));
  TRY(bring_up(target, layout, schema, effects));
  const auto known = static_cast<int64_t>(schema.migrations.size());
  TRY(connection.run("UPDATE merlon_writer SET migration = $1 WHERE migration <> $1",
                     Parameters().number(known)));
  return {};
}

}  // namespace

Result<void> take_start_lock(PostgresConnection& connection) {
  TRY(connection.execute("SET lock_timeout = '60s'"));
  const auto locked = connection.run("SELECT pg_advisory_lock($1)", Parameters().number(kStartLock));
  if (locked) return {};
  if (locked.error().code != "StorageBusy") return std::unexpected(locked.error());
  return fail(ErrorKind::unavailable, "ServerStarting",
              "Another Merlon server has been starting on this database for a minute. See whether it hangs, "
              "then start this one again.");
}

Result<void> prepare_postgres(PostgresConnection& connection, const Layout& layout, const Schema& schema,
                              const std::string& name) {
  Effects effects;
  TRY(connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"));
  auto done = bring_database(connection, layout, schema, name, effects);
  if (done) {
    const Answer committed = TRY(connection.execute("COMMIT"));
    if (committed.command() != "COMMIT") return internal_error("PostgreSQL rolled the opening back");
    run_effects(effects);
    return {};
  }
  if (connection.is_alive()) TRY(connection.execute("ROLLBACK"));
  return done;
}

Result<void> expect_postgres(PostgresConnection& connection, const Layout& layout, const Schema& schema,
                             const std::string& name) {
  PostgresSchema target(connection, layout, name);
  if (!TRY(target.has_schema()) || !TRY(target.has_relation("merlon_meta"))) return not_ours(name);
  return expect_schema(target, schema);
}

}  // namespace merlon::store
