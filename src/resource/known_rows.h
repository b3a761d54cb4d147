// What each write asks of small tables that hardly ever change: is the group there, has anybody set a lock.
// Kept as long as the table is what it was (store.h, state_mark(); decision 0025), and read from it in every
// other case.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/store.h"

namespace merlon::resource {

// Bounded. Thread-safe.
class KnownRows {
 public:
  // Whether the table has a row of this key.
  Result<bool> has(store::Reader& reader, const store::TableSpec& table, const TenantId& tenant,
                   const std::string& key);
  Result<bool> is_empty(store::Reader& reader, const store::TableSpec& table, const TenantId& tenant);

 private:
  struct Kept {
    uint64_t mark = 0;
    TenantId tenant;
    std::unordered_map<std::string, bool> rows;
    std::optional<bool> empty;
  };
  Kept* find(const store::TableSpec& table, const TenantId& tenant, uint64_t mark);  // under mutex_
  Kept& keep(const store::TableSpec& table, const TenantId& tenant, uint64_t mark);  // under mutex_

  std::mutex mutex_;
  std::map<std::string, Kept, std::less<>> tables_;
};

}  // namespace merlon::resource
