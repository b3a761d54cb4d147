// Snapshots of the embedded database, each on a connection of its own while it is read. Not for other rooms:
// store.h is theirs.
//
// A snapshot that nobody reads any more stays open for the next reader as long as it is the newest state: to
// begin and end one costs more than most reads. A commit ends those that wait, and so does a checkpoint,
// since the log cannot start again while somebody holds a part of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/layout.h"
#include "store/server_store.h"
#include "store/sqlite_connection.h"
#include "store/table_changes.h"

namespace merlon::store {

// The number of the newest commit in a snapshot. It stands in the database (its user_version), so it is
// exactly the snapshot's own.
Result<uint32_t> commit_number(Connection& connection);

class SqliteReaders {
 public:
  SqliteReaders(std::string path, const char* vfs, const Layout& layout, const TableChanges* changes)
      : path_(std::move(path)), vfs_(vfs), layout_(layout), changes_(changes) {}

  // Thread-safe.
  Result<void> read(const std::function<Result<void>(WholeReader&)>& work);

  // The writer's, after a commit: what waits is no longer the newest state.
  void end_old();
  // The writer's, around a checkpoint: while it runs no snapshot outlives its reader.
  void hold_none(bool none);
  void close();

 private:
  struct Snapshot {
    std::unique_ptr<Connection> connection;
    uint32_t number = 0;
    bool open = false;
  };

  Result<Snapshot> take();
  void keep(Snapshot snapshot);
  void end_waiting();  // under mutex_

  const std::string path_;
  const char* const vfs_;  // null: SQLite's own
  const Layout& layout_;
  const TableChanges*
      changes_;  // null where another process commits: then no snapshot waits, and none is marked
  std::mutex mutex_;
  std::vector<Snapshot> waiting_;  // under mutex_, like all below
  bool hold_none_ = false;
};

}  // namespace merlon::store
