// The store: tables of JSON rows under (tenant, key), with declared secondary indexes, in transactions. SQL
// stays in this room. Writes go to one writer that commits many at a time (one fsync for all that wait);
// reads see a snapshot.
//
// A table's row: `key` is unique within a tenant; `body` is text (JSON) that the store never reads; each
// declared index has one value per row (or none). Keys and index values compare bytewise, so a prefix range
// is a folder.
#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"

namespace merlon::store {

enum class Unique { no, yes };

struct IndexSpec {
  std::string name;  // [a-z_]+
  Unique unique = Unique::no;
};

struct TableSpec {
  std::string name;  // [a-z_]+, never reused for another meaning
  std::vector<IndexSpec> indexes;
};

struct Row {
  std::string key;
  std::string body;
  std::vector<std::optional<std::string>>
      index_values;  // in the order of TableSpec::indexes; none = not indexed
};

// Ascending by key (get ranges) or by (value, key) (index ranges).
struct Range {
  std::string prefix;     // of the key, or of the index value; empty = all
  std::string after;      // exclusive: the last key of the previous page; for an index range `after_key` too
  std::string after_key;  // index ranges: the key that goes with `after`
  size_t limit = 1000;
  bool descending = false;
};

struct IndexedRow {
  std::string value;
  Row row;
};

// Valid only inside the function that was given it. Not thread-safe.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                         std::string_view key) = 0;
  virtual Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant,
                                        const Range& range) = 0;
  // Rows whose value in `index` starts with range.prefix.
  virtual Result<std::vector<IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                                     std::string_view index, const Range& range) = 0;
  // Rows whose value in `index` equals `value`, ascending by key.
  virtual Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant,
                                        std::string_view index, std::string_view value) = 0;
  // Names the content of these tables, as long as the process lives: what was worked out from them alone
  // holds wherever they have the same mark. Nothing where there is no cheap way to know, and in a transaction
  // when it, or one that is to be committed with it, has changed one of them.
  virtual std::optional<uint64_t> state_mark([[maybe_unused]] std::span<const std::string> tables) const {
    return std::nullopt;
  }
};

class Transaction : public Reader {
 public:
  // Inserts or replaces. A unique index value that another row holds is Conflict.
  virtual Result<void> put(const TableSpec& table, const TenantId& tenant, const Row& row) = 0;
  virtual Result<void> erase(const TableSpec& table, const TenantId& tenant, std::string_view key) = 0;
  // Runs after COMMIT has returned, in order, on the writer's thread: keep it short. Forgotten when this
  // write fails. The place for in-memory indexes, wake-ups and pushes.
  virtual void after_commit(std::function<void()> effect) = 0;
  // Gives something to the before-commit hook, which gets what all writes of its group gave, in their order.
  // Counts as a change. Forgotten when this write fails.
  virtual void hand_over(std::any what) = 0;
  // This write takes access away or keeps a promise (revocation, expiry): it may spend the disk reserve when
  // the disk is full. Until the reserve is back, every other write that changes something is refused as
  // StorageFull.
  virtual void urgent() {}
};

// A change of shape beyond new tables and new indexes, run once, in order, inside the opening transaction.
struct Migration {
  int number = 0;  // 1, 2, 3 … across the whole product
  std::string name;
  std::function<Result<void>(Transaction&)> apply;
};

// What runs before COMMIT: once for a group, with what its writes have handed over.
using BeforeCommit = std::function<Result<void>(Transaction&, std::span<const std::any> handed_over)>;

struct Schema {
  std::vector<TableSpec> tables;  // created when missing; a new index on an old table needs a migration
  std::vector<Migration> migrations;
  std::string product_version =
      "0.1.0";  // kept in the file, to name it to an older program that meets the file
};

class Store {
 public:
  virtual ~Store() = default;

  // Runs `work` on the writer inside a savepoint of a group commit; returns when the commit is durable (or
  // `work` failed, in which case nothing of it remains). `work` may run once only, must not block on anything
  // but the store, and must not call write() (that is a bug and is checked). An I/O error at COMMIT ends the
  // process: it is never retried.
  virtual Result<void> write(const std::function<Result<void>(Transaction&)>& work) = 0;
  // One snapshot. Thread-safe; as many at once as there are threads.
  virtual Result<void> read(const std::function<Result<void>(Reader&)>& work) = 0;
  // Runs at the end of every group commit that changed something, before COMMIT, outside the savepoints: the
  // ledger's sequencer. Its failure fails the whole group. Set once, before anything that it must see is
  // written.
  virtual void before_commit(BeforeCommit hook) = 0;
  // Group commits so far, for tests and metrics.
  virtual uint64_t commit_count() const = 0;
  // Whether read() waits for nothing but this machine's own page cache: then a read of a few rows may run on
  // a thread that must not wait.
  virtual bool reads_at_once() const { return false; }
};

// A value out of a write or a read.
template <class T>
Result<T> write_value(Store& store, const std::function<Result<T>(Transaction&)>& work) {
  std::optional<T> value;
  TRY(store.write([&](Transaction& tx) -> Result<void> {
    value.emplace(TRY(work(tx)));
    return {};
  }));
  return std::move(*value);
}
template <class T>
Result<T> read_value(Store& store, const std::function<Result<T>(Reader&)>& work) {
  std::optional<T> value;
  TRY(store.read([&](Reader& reader) -> Result<void> {
    value.emplace(TRY(work(reader)));
    return {};
  }));
  return std::move(*value);
}

// `directory` must exist (0700); the database is directory/merlon.db. Errors: the file is newer than this
// program
// ("upgrade merlon"), is not ours, is locked by another server, or the disk says no.
Result<std::unique_ptr<Store>> open_sqlite(const std::string& directory, const Schema& schema);

}  // namespace merlon::store
