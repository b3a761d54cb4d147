// What the stores' tables have in common: their names in SQL, and the order of keys. Not for other rooms.
//
// SQL text is built from names of the schema alone, which layout_of() checks to be [a-z_]+; everything else
// is bound.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "store/store.h"

namespace merlon::store {

// The tables that a store was opened with, by name.
using Layout = std::map<std::string, TableSpec, std::less<>>;

// Checks the names and numbers of the schema: a mistake there is a bug, and ends the process.
Layout layout_of(const Schema& schema);

std::string table_sql_name(const TableSpec& table);  // quoted
std::string index_sql_name(const TableSpec& table,
                           const IndexSpec& index);  // not quoted; says whether it is unique
std::string column_sql_name(const IndexSpec& index);
std::string index_columns(const TableSpec& table);  // ", column" for each

Result<const TableSpec*> known_table(const Layout& layout, const TableSpec& table);
Result<size_t> index_position(const TableSpec& table, std::string_view index);
Result<void> fits_table(const TableSpec& table, const Row& row);
// That another row holds the value of the unique index `index`; without the value.
Error conflict_error(const TableSpec& table, const std::string& index);

// The first text after every text that starts with `prefix`; none when there is no such text (empty, or all
// 0xFF).
std::optional<std::string> prefix_end(std::string_view prefix);

// The bounds of a range of keys: the nearer of the prefix's and of the previous page's, on each side.
struct KeyBounds {
  std::string lower;
  bool lower_is_exclusive = false;
  std::optional<std::string> upper;  // exclusive
};
KeyBounds key_bounds(const Range& range);

}  // namespace merlon::store
