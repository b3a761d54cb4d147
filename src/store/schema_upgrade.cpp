// Tables, indexes and migrations. All of it happens in one transaction, so a server that dies while it
// upgrades finds the old database whole.
#include "store/schema_upgrade.h"

#include <charconv>

#include "base/log.h"

namespace merlon::store {
namespace {

Result<int> meta_number(SchemaTarget& target, std::string_view name) {
  const std::string text = TRY(target.meta(name));
  int number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || number < 0) {
    return internal_error("merlon_meta's " + std::string(name) + " is no number: " + text);
  }
  return number;
}

Result<void> create_index(SchemaTarget& target, const TableSpec& table, const IndexSpec& index) {
  const std::string column = column_sql_name(index);
  const bool unique = index.unique == Unique::yes;
  return target.execute(std::string("CREATE ") + (unique ? "UNIQUE " : "") + "INDEX \"" +
                        index_sql_name(table, index) + "\" ON " + table_sql_name(table) + "(tenant, " +
                        column + (unique ? "" : ", key") + ") WHERE " + column + " IS NOT NULL");
}

struct Shape {
  std::set<std::string> columns;  // of indexes
  std::set<std::string> indexes;
  bool operator==(const Shape&) const = default;
};

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
Result<void> change_indexes(SchemaTarget& target, const TableSpec& table, bool migrating) {
  const Shape found{TRY(target.columns_of_indexes(table)), TRY(target.indexes(table))};
  const Shape wanted = shape_wanted(table);
  if (found == wanted) return {};
  if (!migrating && TRY(target.table_has_rows(table))) {
    return fail(
        ErrorKind::unavailable, "SchemaMismatch",
        "The database's table '" + table.name +
            "' has other indexes than this merlon knows, and no migration leads from one to the other. "
            "Run the merlon that wrote it, or a newer one; " +
            target.name() + " was left as it is.");
  }
  for (const std::string& index : found.indexes) {
    if (!wanted.indexes.contains(index)) TRY(target.execute("DROP INDEX \"" + index + "\""));
  }
  const std::string alter = "ALTER TABLE " + table_sql_name(table);
  for (const std::string& column : found.columns) {
    if (!wanted.columns.contains(column)) TRY(target.execute(alter + " DROP COLUMN \"" + column + "\""));
  }
  for (const IndexSpec& index : table.indexes) {
    if (!found.columns.contains("i_" + index.name)) {
      TRY(target.execute(alter + " ADD COLUMN " + column_sql_name(index) + " " + target.column_type()));
    }
    if (!found.indexes.contains(index_sql_name(table, index))) TRY(create_index(target, table, index));
  }
  return {};
}

Result<void> bring_table(SchemaTarget& target, const TableSpec& table, bool migrating) {
  if (TRY(target.table_exists(table))) return change_indexes(target, table, migrating);
  TRY(target.create_table(table));
  for (const IndexSpec& index : table.indexes) TRY(create_index(target, table, index));
  return {};
}

Result<void> run_migrations(SchemaTarget& target, const Schema& schema, int done, Effects& effects) {
  for (const Migration& migration : schema.migrations) {
    if (migration.number <= done) continue;
    const auto applied = target.migrate(migration.apply, effects);
    if (!applied) {
      Error error = applied.error();
      error.message = "Migration " + std::to_string(migration.number) + " (" + migration.name +
                      ") failed and the database was left as it was: " + error.message;
      return std::unexpected(std::move(error));
    }
    TRY(target.set_meta("migration", std::to_string(migration.number)));
    log(LogLevel::info, "database migrated", {{"number", migration.number}, {"name", migration.name}});
  }
  return {};
}

}  // namespace

Result<void> refuse_newer(SchemaTarget& target, const Schema& schema) {
  const int format = TRY(meta_number(target, "format"));
  const int migration = TRY(meta_number(target, "migration"));
  const int known = static_cast<int>(schema.migrations.size());
  if (format <= kStoreFormat && migration <= known) return {};
  return fail(ErrorKind::unavailable, "NewerDatabase",
              target.name() + " was written by merlon " + TRY(target.meta("product_version")) + " (format " +
                  std::to_string(format) + ", schema " + std::to_string(migration) + "); this is merlon " +
                  schema.product_version + ", which knows format " + std::to_string(kStoreFormat) +
                  ", schema " + std::to_string(known) + ". Upgrade merlon; it was left as it is.");
}

Result<void> expect_schema(SchemaTarget& target, const Schema& schema) {
  TRY(refuse_newer(target, schema));
  if (TRY(meta_number(target, "migration")) == static_cast<int>(schema.migrations.size())) return {};
  return fail(ErrorKind::unavailable, "OlderDatabase",
              target.name() + " was written by an older merlon, " + TRY(target.meta("product_version")) +
                  ". Start this version's server on it once, or use that version's command.");
}

Result<void> write_first_meta(SchemaTarget& target, const Schema& schema) {
  TRY(target.set_meta("format", std::to_string(kStoreFormat)));
  TRY(target.set_meta("migration", "0"));
  return target.set_meta("product_version", schema.product_version);
}

Result<void> bring_up(SchemaTarget& target, const Layout& layout, const Schema& schema, Effects& effects) {
  const int done = TRY(meta_number(target, "migration"));
  const bool migrating = done < static_cast<int>(schema.migrations.size());
  for (const auto& [name, table] : layout) TRY(bring_table(target, table, migrating));
  TRY(run_migrations(target, schema, done, effects));
  if (TRY(target.meta("product_version")) != schema.product_version)
    TRY(target.set_meta("product_version", schema.product_version));
  return {};
}

}  // namespace merlon::store
