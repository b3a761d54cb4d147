// The texts of documents that were read a moment ago. A client that waits for something reads the same
// document again and again, and to find it in the database costs more than all that is done with it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "store/store.h"

namespace merlon::resource {

// True as long as the table's state mark is (store.h, state_mark()): whoever reads another state asks the
// database. Bounded. Thread-safe.
class KnownDocuments {
 public:
  explicit KnownDocuments(const store::TableSpec& table) : table_(table) {}
  // As it is stored; null where there is none.
  using Text = std::shared_ptr<const std::string>;
  Result<Text> text(store::Reader& reader, const TenantId& tenant, const std::string& key);

 private:
  Text find(uint64_t mark, const TenantId& tenant, const std::string& key);
  void keep(uint64_t mark, const TenantId& tenant, const std::string& key, const Text& text);

  const store::TableSpec& table_;
  std::mutex mutex_;
  std::optional<uint64_t> mark_;  // under it, like what follows: of the state that the texts are of
  TenantId tenant_;
  std::unordered_map<std::string, Text> texts_;  // by key
  size_t bytes_ = 0;
};

}  // namespace merlon::resource
