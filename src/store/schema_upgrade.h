// Bringing a database to this program's schema, whatever database it is: tables, indexes, migrations, and the
// refusal of what a newer program wrote. Not for other rooms.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "store/layout.h"
#include "store/write_queue.h"

namespace merlon::store {

// Of the tables' own form (sqlite_rows.h, postgres_rows.h); a new form gets a new number.
inline constexpr int kStoreFormat = 1;

// One database, inside the transaction that opens it.
class SchemaTarget {
 public:
  virtual ~SchemaTarget() = default;
  virtual std::string name() const = 0;  // for messages: a path, or which database; no secret
  virtual Result<std::string> meta(std::string_view key) = 0;
  virtual Result<void> set_meta(std::string_view key, std::string_view value) = 0;
  virtual Result<bool> table_exists(const TableSpec& table) = 0;
  virtual Result<bool> table_has_rows(const TableSpec& table) = 0;
  virtual Result<std::set<std::string>> columns_of_indexes(const TableSpec& table) = 0;  // "i_…"
  virtual Result<std::set<std::string>> indexes(const TableSpec& table) = 0;             // index_sql_name()
  virtual Result<void> create_table(const TableSpec& table) = 0;
  virtual std::string column_type() const = 0;
  virtual Result<void> execute(const std::string& sql) = 0;
  // Runs a migration as a write of this transaction; what should follow the commit is added to `effects`.
  virtual Result<void> migrate(const Work& work, Effects& effects) = 0;
};

Result<void> refuse_newer(SchemaTarget& target, const Schema& schema);
// Refuses a newer database, and an older one that a server has yet to upgrade.
Result<void> expect_schema(SchemaTarget& target, const Schema& schema);
Result<void> write_first_meta(SchemaTarget& target, const Schema& schema);
Result<void> bring_up(SchemaTarget& target, const Layout& layout, const Schema& schema, Effects& effects);

}  // namespace merlon::store
