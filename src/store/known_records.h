// Records of a table that changes seldom, decoded once for each state of the table: reading and parsing a row
// costs more than most of what is done with it. Kept as long as the table is what it was (store.h,
// state_mark(); decision 0025), and read anew in every other case. What is secret is sealed in its row, and
// so it is here.
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
  static constexpr size_t kBytesMax = size_t{4} * 1024 * 1024;
  static constexpr size_t kRecordBytes = 256;  // what one costs beside its row

  template <class Read>
  Result<Found> look(Reader& reader, const TenantId& tenant, const std::string& name, const Read& read) {
    const auto mark = reader.state_mark({&T::table().name, 1});
    if (mark) {
      const std::lock_guard lock(mutex_);
      if (mark_ == *mark && tenant_ == tenant)
        if (const auto known = records_.find(name); known != records_.end()) return known->second;
    }
    const std::optional<Row> row = TRY(read());
    Found found;
    if (row) found = std::make_shared<const T>(TRY(decode<T>(*row)));
    if (mark) keep(*mark, tenant, name, found, row ? row->body.size() : 0);
    return found;
  }

  void keep(uint64_t mark, const TenantId& tenant, const std::string& key, const Found& found, size_t bytes) {
    bytes += key.size() + kRecordBytes;
    const std::lock_guard lock(mutex_);
    if (mark_ != mark || tenant_ != tenant || bytes_ + bytes > kBytesMax) {
      records_.clear();
      bytes_ = 0;
      mark_ = mark;
      tenant_ = tenant;
    }
    if (records_.insert_or_assign(key, found).second) bytes_ += bytes;
  }

  std::mutex mutex_;
  uint64_t mark_ = 0;
  TenantId tenant_;
  size_t bytes_ = 0;
  std::unordered_map<std::string, Found> records_;
};

}  // namespace merlon::store
