// Which commit changed a table last: what state_mark() (store.h) is made of, where one process makes all
// commits. Not for other rooms.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace merlon::store {

using TableNames = std::set<std::string, std::less<>>;

// Thread-safe.
class TableChanges {
 public:
  // Every snapshot that begins from now on is of this commit or a later one.
  void committed(uint32_t commit, const TableNames& changed);
  uint32_t newest() const;

  // The commit that gave these tables the content that they have in a snapshot of `commit`. Nothing when one
  // of them has changed since, or the commit has not been told of yet.
  std::optional<uint64_t> mark(uint32_t commit, std::span<const std::string> tables) const;
  // The same for what follows the newest commit, in which `changed` have changed already.
  std::optional<uint64_t> mark_beyond(const TableNames& changed, std::span<const std::string> tables) const;

 private:
  std::optional<uint64_t> last_change(uint32_t commit, std::span<const std::string> tables) const;

  mutable std::mutex mutex_;
  uint32_t newest_ = 0;            // under mutex_, like what follows
  std::optional<uint32_t> first_;  // the commit that was there when the process began
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  std::unordered_map<std::string, uint32_t, NameHash, std::equal_to<>>
      last_;  // tables that have changed since
};

}  // namespace merlon::store
