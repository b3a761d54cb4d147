// Tables as PostgreSQL holds them, and the row operations behind Reader and Transaction. Not for other rooms.
//
//   schema merlon:
//   CREATE TABLE t_<table>(tenant text COLLATE "C", key bytea, body bytea, i_<index> bytea…,
//                          PRIMARY KEY(tenant, key))
//   one partial index per IndexSpec, over the rows that have a value
//
// Keys, values and bodies are bytea: it compares with memcmp and takes NUL and bytes that are no UTF-8, where
// text would do neither.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/layout.h"
#include "store/postgres_connection.h"
#include "store/write_queue.h"

namespace merlon::store {

class PostgresRows {
 public:
  PostgresRows(PostgresConnection& connection, const Layout& layout)
      : connection_(connection), layout_(layout) {}

  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant, std::string_view key);
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range);
  Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                             std::string_view index, const Range& range);
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value);
  Result<void> put(const TableSpec& table, const TenantId& tenant, const Row& row);
  Result<bool> erase(const TableSpec& table, const TenantId& tenant, std::string_view key);  // was it there
  Result<std::vector<std::string>> tenants(const TableSpec& table);

 private:
  Result<Error> conflict(const TableSpec& table, const TenantId& tenant, const Row& row);

  PostgresConnection& connection_;
  const Layout& layout_;
};

class PostgresReader final : public Reader {
 public:
  PostgresReader(PostgresConnection& connection, const Layout& layout) : rows_(connection, layout) {}
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
  PostgresRows rows_;
};

// A write inside the transaction that its connection has open.
class PostgresTransaction final : public Transaction {
 public:
  PostgresTransaction(PostgresConnection& connection, const Layout& layout) : rows_(connection, layout) {}

  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                 std::string_view key) override {
    return keep(rows_.get(table, tenant, key));
  }
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range) override {
    return keep(rows_.scan(table, tenant, range));
  }
  Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                             std::string_view index, const Range& range) override {
    return keep(rows_.scan_index(table, tenant, index, range));
  }
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value) override {
    return keep(rows_.find(table, tenant, index, value));
  }
  Result<void> put(const TableSpec& table, const TenantId& tenant, const Row& row) override;
  Result<void> erase(const TableSpec& table, const TenantId& tenant, std::string_view key) override;
  void after_commit(std::function<void()> effect) override { effects_.push_back(std::move(effect)); }
  void hand_over(std::any what) override {
    handed_over_.push_back(std::move(what));
    changed_ = true;
  }

  bool changed() const { return changed_; }
  size_t bytes() const { return bytes_; }
  Effects take_effects() { return std::move(effects_); }
  std::vector<std::any> take_handed_over() { return std::move(handed_over_); }
  // The first error: after it PostgreSQL refuses every statement of the transaction with one that explains
  // nothing.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  template <class T>
  Result<T> keep(Result<T> result) {
    if (!result && !failure_ && result.error().kind != ErrorKind::conflict) failure_ = result.error();
    return result;
  }

  PostgresRows rows_;
  Effects effects_;
  std::vector<std::any> handed_over_;
  std::optional<Error> failure_;
  size_t bytes_ = 0;
  bool changed_ = false;
};

}  // namespace merlon::store
