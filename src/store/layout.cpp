// Names, and the order of keys.
#include "store/layout.h"

#include <set>

namespace merlon::store {
namespace {

// PostgreSQL cuts longer names off, and two could become one (NAMEDATALEN).
constexpr size_t kNameBytesMax = 63;

void check_name(std::string_view name) {
  MERLON_CHECK(!name.empty());
  for (const char c : name) MERLON_CHECK((c >= 'a' && c <= 'z') || c == '_');
}

}  // namespace

Layout layout_of(const Schema& schema) {
  Layout layout;
  for (const TableSpec& table : schema.tables) {
    check_name(table.name);
    std::set<std::string> seen;
    for (const IndexSpec& index : table.indexes) {
      check_name(index.name);
      MERLON_CHECK(index_sql_name(table, index).size() <= kNameBytesMax);
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

std::string table_sql_name(const TableSpec& table) { return "\"t_" + table.name + "\""; }

std::string index_sql_name(const TableSpec& table, const IndexSpec& index) {
  // The dot keeps (a, b_c) and (a_b, c) apart: names have none.
  return (index.unique == Unique::yes ? "u." : "x.") + table.name + "." + index.name;
}

std::string column_sql_name(const IndexSpec& index) { return "\"i_" + index.name + "\""; }

std::string index_columns(const TableSpec& table) {
  std::string text;
  for (const IndexSpec& index : table.indexes) text += ", " + column_sql_name(index);
  return text;
}

Result<const TableSpec*> known_table(const Layout& layout, const TableSpec& table) {
  const auto found = layout.find(table.name);
  if (found == layout.end() || found->second.indexes.size() != table.indexes.size()) {
    return internal_error("table " + table.name + " is not in the schema that the store was opened with");
  }
  return &found->second;
}

Result<size_t> index_position(const TableSpec& table, std::string_view index) {
  for (size_t i = 0; i < table.indexes.size(); ++i) {
    if (table.indexes[i].name == index) return i;
  }
  return internal_error("table " + table.name + " has no index " + std::string(index));
}

Result<void> fits_table(const TableSpec& table, const Row& row) {
  if (row.key.empty()) return internal_error("a row of table " + table.name + " has no key");
  if (row.index_values.size() == table.indexes.size()) return {};
  return internal_error("a row of table " + table.name + " has " + std::to_string(row.index_values.size()) +
                        " index values instead of " + std::to_string(table.indexes.size()));
}

Error conflict_error(const TableSpec& table, const std::string& index) {
  return fail(ErrorKind::conflict, "Conflict",
              "Another record of '" + table.name + "' already has this value of '" + index +
                  "'. Choose another value, or change the other record first.",
              index)
      .error();
}

std::optional<std::string> prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (end.empty()) return std::nullopt;
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

KeyBounds key_bounds(const Range& range) {
  KeyBounds bounds{.lower = range.prefix, .lower_is_exclusive = false, .upper = prefix_end(range.prefix)};
  if (range.after.empty()) return bounds;
  if (!range.descending && range.after >= range.prefix) {
    bounds.lower = range.after;
    bounds.lower_is_exclusive = true;
  }
  if (range.descending && (!bounds.upper || range.after < *bounds.upper)) bounds.upper = range.after;
  return bounds;
}

}  // namespace merlon::store
