// Tables as SQLite holds them: names, SQL, and the row operations behind Reader and Transaction.
//
//   CREATE TABLE t_<table>(tenant TEXT, key TEXT, body TEXT, i_<index> TEXT…, PRIMARY KEY(tenant, key))
//   STRICT, WITHOUT ROWID one partial index per IndexSpec, over the rows that have a value
//
// Text compares with BINARY collation, which is memcmp: the order that store.h promises.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/layout.h"
#include "store/sqlite_connection.h"
#include "store/store.h"
#include "store/table_changes.h"

namespace merlon::store {

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
  Result<std::vector<TenantId>> tenants(const TableSpec& table);

 private:
  Error conflict(const TableSpec& table, const Error& error) const;

  Connection& connection_;
  const Layout& layout_;
};

// A write inside the transaction that its connection has open. It ends with the savepoint or the transaction;
// what it changed and what should follow the commit is read from it before.
class SqliteTransaction final : public Transaction {
 public:
  // What it has in common with the writes that are committed with it; nothing while a schema is made.
  struct Company {
    TableNames* changed = nullptr;
    const TableChanges* committed = nullptr;
  };
  // Of a write that fails nothing may stay: its savepoint is made before the first thing that it changes. One
  // that only reads, or hands something over, needs none, and saves two statements.
  enum class Savepoint { none, when_it_changes };
  SqliteTransaction(Connection& connection, const Layout& layout, Company company,
                    Savepoint savepoint = Savepoint::none)
      : connection_(connection), rows_(connection, layout), company_(company), savepoint_(savepoint) {}

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
  void hand_over(std::any what) override {
    handed_over_.push_back(std::move(what));
    changed_ = true;
  }
  void urgent() override { urgent_ = true; }
  std::optional<uint64_t> state_mark(std::span<const std::string> tables) const override {
    return company_.committed == nullptr ? std::nullopt
                                         : company_.committed->mark_beyond(*company_.changed, tables);
  }

  // Ends the savepoint, if there is one: what the write did stays, or goes.
  Result<void> end_savepoint(bool keep);
  bool changed() const { return changed_; }
  bool is_urgent() const { return urgent_; }
  size_t bytes() const { return bytes_; }
  std::vector<std::function<void()>> take_effects() { return std::move(effects_); }
  std::vector<std::any> take_handed_over() { return std::move(handed_over_); }

 private:
  Result<void> alive() const;
  Result<void> before_change(const TableSpec& table);

  Connection& connection_;
  RowAccess rows_;
  const Company company_;
  const Savepoint savepoint_;
  bool has_savepoint_ = false;
  std::vector<std::function<void()>> effects_;
  std::vector<std::any> handed_over_;
  size_t bytes_ = 0;
  bool changed_ = false;
  bool urgent_ = false;
};

}  // namespace merlon::store
