// Typed access to a table: a record type says how it becomes a row and back, once.
//
//   struct User { …; static const store::TableSpec& table(); std::string key() const;
//                 std::vector<std::optional<std::string>> index_values() const;
//                 JsonObject to_json() const; static Result<User> from_json(const JsonObject&); };
#pragma once

#include <concepts>

#include "base/json.h"
#include "store/store.h"

namespace merlon::store {

template <class T>
concept Record = requires(const T& record, const JsonObject& json) {
  { T::table() } -> std::same_as<const TableSpec&>;
  { record.key() } -> std::convertible_to<std::string>;
  { record.index_values() } -> std::same_as<std::vector<std::optional<std::string>>>;
  { record.to_json() } -> std::same_as<JsonObject>;
  { T::from_json(json) } -> std::same_as<Result<T>>;
};

template <Record T>
Result<T> decode(const Row& row) {
  auto json = parse_json_object(row.body, {.bytes_max = 64 * 1024 * 1024, .depth_max = 64});
  if (!json) return internal_error("row " + row.key + " of " + T::table().name + ": " + json.error().message);
  return T::from_json(*json);
}

template <Record T>
Result<std::optional<T>> get(Reader& reader, const TenantId& tenant, std::string_view key) {
  const auto row = TRY(reader.get(T::table(), tenant, key));
  if (!row) return std::optional<T>();
  return std::optional<T>(TRY(decode<T>(*row)));
}

template <Record T>
Result<std::vector<T>> decode_all(const std::vector<Row>& rows) {
  std::vector<T> records;
  records.reserve(rows.size());
  for (const Row& row : rows) records.push_back(TRY(decode<T>(row)));
  return records;
}

template <Record T>
Result<std::vector<T>> scan(Reader& reader, const TenantId& tenant, const Range& range) {
  return decode_all<T>(TRY(reader.scan(T::table(), tenant, range)));
}

// Every row of the tenant, page by page.
template <Record T>
Result<std::vector<T>> scan_all(Reader& reader, const TenantId& tenant, std::string_view prefix = {}) {
  std::vector<T> records;
  Range range{.prefix = std::string(prefix), .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(T::table(), tenant, range));
    for (const Row& row : rows) records.push_back(TRY(decode<T>(row)));
    if (rows.size() < range.limit) return records;
    range.after = rows.back().key;
  }
}

template <Record T>
Result<std::vector<T>> find(Reader& reader, const TenantId& tenant, std::string_view index,
                            std::string_view value) {
  return decode_all<T>(TRY(reader.find(T::table(), tenant, index, value)));
}

template <Record T>
Result<void> put(Transaction& tx, const TenantId& tenant, const T& record) {
  return tx.put(T::table(), tenant, {record.key(), to_text(record.to_json()), record.index_values()});
}

template <Record T>
Result<void> erase(Transaction& tx, const TenantId& tenant, std::string_view key) {
  return tx.erase(T::table(), tenant, key);
}

}  // namespace merlon::store
