// Records of a table that changes seldom, decoded once for each state of the table: reading and parsing a row
// costs more than most of what is done with it. Kept as long as the table is what it was (store.h,
// state_mark(); decision 0025), and read anew in every other case, decoded where it differs. What is secret
// is sealed in its row, and so it is here.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "store/table.h"

namespace merlon::store {

// Bounded by the size of the rows. Thread-safe.
template <Record T>
class KnownRecords {
 public:
  using Found = std::shared_ptr<const T>;  // empty: there is no such row

  Result<Found> get(Reader& reader, const TenantId& tenant, const std::string& key) {
    return look(reader, tenant, key, [&] { return reader.get(T::table(), tenant, key); });
  }
  // The first row whose value in `index` is `value`.
  Result<Found> find_first(Reader& reader, const TenantId& tenant, const std::string& index,
                           const std::string& value) {
    // No key has a zero byte in front.
    const std::string name = std::string(1, '\0') + index + '\0' + value;
    return look(reader, tenant, name, [&]() -> Result<std::optional<Row>> {
      auto rows = TRY(reader.find(T::table(), tenant, index, value));
      if (rows.empty()) return std::optional<Row>();
      return std::optional<Row>(std::move(rows.front()));
    });
  }

 private:
  static constexpr size_t kBytesMax = size_t{8} * 1024 * 1024;
  static constexpr size_t kRecordBytes = 256;  // what one costs beside its row, twice

  struct Entry {
    uint64_t mark = 0;  // the table's, when it was last seen to be so
    std::string body;   // of the row; empty: there is none
    Found found;
  };

  // Another row's change moves the table's mark: a row that reads as before is not decoded again.
  template <class Read>
  Result<Found> look(Reader& reader, const TenantId& tenant, const std::string& name, const Read& read) {
    const auto mark = reader.state_mark({&T::table().name, 1});
    if (mark) {
      const std::lock_guard lock(mutex_);
      if (tenant_ == tenant)
        if (const auto known = entries_.find(name); known != entries_.end() && known->second.mark == *mark)
          return known->second.found;
    }
    std::optional<Row> row = TRY(read());
    if (row)
      if (auto same = known_as(tenant, name, row->body, mark)) return same;
    Found found;
    if (row) found = std::make_shared<const T>(TRY(decode<T>(*row)));
    if (mark) keep(*mark, tenant, name, row ? std::move(row->body) : std::string(), found);
    return found;
  }

  Found known_as(const TenantId& tenant, const std::string& name, const std::string& body,
                 std::optional<uint64_t> mark) {
    const std::lock_guard lock(mutex_);
    if (tenant_ != tenant) return {};
    const auto known = entries_.find(name);
    if (known == entries_.end() || known->second.body != body) return {};
    if (mark) known->second.mark = *mark;
    return known->second.found;
  }

  void keep(uint64_t mark, const TenantId& tenant, const std::string& key, std::string body,
            const Found& found) {
    const auto cost = [&](const std::string& text) { return 2 * (text.size() + kRecordBytes) + key.size(); };
    const std::lock_guard lock(mutex_);
    if (const auto known = entries_.find(key); known != entries_.end()) {
      bytes_ -= cost(known->second.body);
      entries_.erase(known);
    }
    if (tenant_ != tenant || bytes_ + cost(body) > kBytesMax) {
      entries_.clear();
      bytes_ = 0;
      tenant_ = tenant;
    }
    bytes_ += cost(body);
    entries_.emplace(key, Entry{.mark = mark, .body = std::move(body), .found = found});
  }

  std::mutex mutex_;
  TenantId tenant_;
  size_t bytes_ = 0;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace merlon::store
