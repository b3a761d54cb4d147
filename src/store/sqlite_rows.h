// Tables as SQLite holds them: names, SQL, and the row operations behind Reader and Transaction.
//
//   CREATE TABLE t_<table>(tenant TEXT, key TEXT, body TEXT, i_<index> TEXT…, PRIMARY KEY(tenant, key))
//   STRICT, WITHOUT ROWID one partial index per IndexSpec, over the rows that have a value
//
// Text compares with BINARY collation, which is memcmp: the order that store.h promises.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/sqlite_connection.h"
#include "store/store.h"

namespace merlon::store {

// The tables that this store was opened with, by name.
using Layout = std::map<std::string, TableSpec, std::less<>>;

std::string table_sql_name(const TableSpec& table);  // quoted
std::string index_sql_name(const TableSpec& table,
                           const IndexSpec& index);  // not quoted; says whether it is unique
std::string column_sql_name(const IndexSpec& index);

// The first text after every text that starts with `prefix`; none when there is no such text (empty, or all
// 0xFF).
std::optional<std::string> prefix_end(std::string_view prefix);

class RowAccess {
 public:
  RowAccess(Connection& connection, const Layout& layout) : connection_(connection), layout_(layout) {}

  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant, std::string_view key);
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range);
  Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                             std::string_view index, const Range& range);
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value);
  Result<void> put(const TableSpec& table, const TenantId& tenant, const Row& row);
  Result<bool> erase(const TableSpec& table, const TenantId& tenant, std::string_view key);  // was it there

 private:
  Result<const TableSpec*> known(const TableSpec& table) const;
  Result<size_t> index_position(const TableSpec& table, std::string_view index) const;
  Error conflict(const TableSpec& table, const Error& error) const;

  Connection& connection_;
  const Layout& layout_;
};

class SqliteReader final : public Reader {
 public:
  SqliteReader(Connection& connection, const Layout& layout) : rows_(connection, layout) {}
  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                 std::string_view key) override {
    return rows_.get(table, tenant, key);
  }
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range) override {
    return rows_.scan(table, tenant, range);
  }
  Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                             std::string_view index, const Range& range) override {
    return rows_.scan_index(table, tenant, index, range);
  }
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value) override {
    return rows_.find(table, tenant, index, value);
  }

 private:
  RowAccess rows_;
};

// A write inside the transaction that its connection has open. It ends with the savepoint or the transaction;
// what it changed and what should follow the commit is read from it before.
class SqliteTransaction final : public Transaction {
 public:
  SqliteTransaction(Connection& connection, const Layout& layout)
      : connection_(connection), rows_(connection, layout) {}

  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                 std::string_view key) override;
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range) override;
  Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                             std::string_view index, const Range& range) override;
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value) override;
  Result<void> put(const TableSpec& table, const TenantId& tenant, const Row& row) override;
  Result<void> erase(const TableSpec& table, const TenantId& tenant, std::string_view key) override;
  void after_commit(std::function<void()> effect) override { effects_.push_back(std::move(effect)); }
  void urgent() override { urgent_ = true; }

  bool changed() const { return changed_; }
  bool is_urgent() const { return urgent_; }
  size_t bytes() const { return bytes_; }
  std::vector<std::function<void()>> take_effects() { return std::move(effects_); }

 private:
  Result<void> alive() const;

  Connection& connection_;
  RowAccess rows_;
  std::vector<std::function<void()>> effects_;
  size_t bytes_ = 0;
  bool changed_ = false;
  bool urgent_ = false;
};

}  // namespace merlon::store
