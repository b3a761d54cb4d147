// A reader that notes which tables are read through it: so that what was worked out from them can be kept for
// as long as they are what they were (Reader::state_mark()), without a list of them that somebody could
// forget to extend.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"

namespace merlon::store {

class ObservedReader final : public Reader {
 public:
  explicit ObservedReader(Reader& reader) : reader_(reader) {}

  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                 std::string_view key) override {
    note(table);
    return reader_.get(table, tenant, key);
  }
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range) override {
    note(table);
    return reader_.scan(table, tenant, range);
  }
  Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                             std::string_view index, const Range& range) override {
    note(table);
    return reader_.scan_index(table, tenant, index, range);
  }
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value) override {
    note(table);
    return reader_.find(table, tenant, index, value);
  }
  std::optional<uint64_t> state_mark(std::span<const std::string> tables) const override {
    return reader_.state_mark(tables);
  }

  // Names, each once, in the order of their first reading.
  const std::vector<std::string>& tables() const { return tables_; }

 private:
  void note(const TableSpec& table) {
    if (std::ranges::find(tables_, table.name) == tables_.end()) tables_.push_back(table.name);
  }

  Reader& reader_;
  std::vector<std::string> tables_;
};

}  // namespace merlon::store
