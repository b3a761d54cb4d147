// What every Store must do, run against each implementation: INSTANTIATE_TEST_SUITE_P(Name, StoreContract,
// backend).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/store.h"

namespace merlon::store {

// One database, empty at first, that can be closed and opened again.
class StoreBackend {
 public:
  virtual ~StoreBackend() = default;
  virtual Result<std::unique_ptr<Store>> open(const Schema& schema) = 0;
};

using StoreBackendFactory = std::function<std::unique_ptr<StoreBackend>()>;

inline const TableSpec& contract_users() {
  static const TableSpec table{"users", {{"upn", Unique::yes}, {"team", Unique::no}}};
  return table;
}
inline const TableSpec& contract_notes() {
  static const TableSpec table{"notes", {}};
  return table;
}
inline Schema contract_schema() { return {.tables = {contract_users(), contract_notes()}, .migrations = {}}; }
inline TenantId contract_tenant(int number) {
  return {*Uuid::parse("0000000" + std::to_string(number) + "-0000-4000-8000-000000000000")};
}

class StoreContract : public testing::TestWithParam<StoreBackendFactory> {
 protected:
  void SetUp() override {
    backend_ = GetParam()();
    reopen();
  }
  void reopen() {
    store_.reset();
    auto opened = backend_->open(contract_schema());
    ASSERT_TRUE(opened) << opened.error().message << " " << opened.error().cause;
    store_ = std::move(*opened);
  }
  Result<void> put(const TableSpec& table, const Row& row, const TenantId& tenant) {
    return store_->write([&](Transaction& tx) { return tx.put(table, tenant, row); });
  }
  Result<void> put_note(const std::string& key, const std::string& body = "{}") {
    return put(contract_notes(), {key, body, {}}, tenant_);
  }
  Result<void> put_user(const std::string& key, std::optional<std::string> upn,
                        std::optional<std::string> team) {
    return put(contract_users(), {key, "{}", {std::move(upn), std::move(team)}}, tenant_);
  }
  std::optional<std::string> note(const std::string& key) { return note_of(tenant_, key); }
  std::optional<std::string> note_of(const TenantId& tenant, const std::string& key) {
    auto row = read_value<std::optional<Row>>(
        *store_, [&](Reader& reader) { return reader.get(contract_notes(), tenant, key); });
    EXPECT_TRUE(row) << row.error().cause;
    if (!row || !*row) return std::nullopt;
    return (*row)->body;
  }
  std::vector<std::string> note_keys(const Range& range) {
    auto rows = read_value<std::vector<Row>>(
        *store_, [&](Reader& reader) { return reader.scan(contract_notes(), tenant_, range); });
    EXPECT_TRUE(rows) << rows.error().cause;
    std::vector<std::string> keys;
    for (const Row& row : *rows) keys.push_back(row.key);
    return keys;
  }
  std::vector<std::string> user_pairs(std::string_view index, const Range& range) {
    auto rows = read_value<std::vector<IndexedRow>>(
        *store_, [&](Reader& reader) { return reader.scan_index(contract_users(), tenant_, index, range); });
    EXPECT_TRUE(rows) << rows.error().cause;
    std::vector<std::string> pairs;
    for (const IndexedRow& row : *rows) pairs.push_back(row.value + "/" + row.row.key);
    return pairs;
  }

  TenantId tenant_ = contract_tenant(1);
  std::unique_ptr<StoreBackend> backend_;
  std::unique_ptr<Store> store_;
};

inline Range contract_range(std::string prefix, std::string after = {}, size_t limit = 1000,
                            bool descending = false) {
  return {.prefix = std::move(prefix),
          .after = std::move(after),
          .after_key = {},
          .limit = limit,
          .descending = descending};
}

}  // namespace merlon::store
