// What the server process asks of its store beyond store.h, which is all that the rooms see: which database
// it is, other servers on it, and a look at everything for a backup.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/state_disk.h"
#include "store/store.h"

namespace merlon::store {

inline constexpr std::string_view kEmbeddedStore = "sqlite";

class WholeReader : public Reader {
 public:
  // Whoever has rows in the table, in order.
  virtual Result<std::vector<TenantId>> tenants(const TableSpec& table) = 0;
};

class SnapshotStore : public Store {
 public:
  // As read(): one snapshot of all tables and tenants.
  virtual Result<void> read_whole(const std::function<Result<void>(WholeReader&)>& work) = 0;
};

class ServerStore : public SnapshotStore {
 public:
  // Whether other servers may write to the same database.
  virtual bool is_shared() const = 0;
  // Calls `notice` from a thread of the store soon after another server has committed something, at the
  // latest half a second after. Set once. Never called for a store that is not shared.
  virtual void on_foreign_commit(std::function<void()> notice) = 0;
  // Until then no other server starts on this database: what the first start makes is made once.
  virtual void start_finished() = 0;
};

// `where` is "sqlite" (directory/merlon.db) or postgres://…. Errors say what to do: the database is newer
// than this program ("Upgrade merlon"), is not ours, cannot be reached, or is in use by another server.
Result<std::unique_ptr<ServerStore>> open_store(const std::string& where, const std::string& directory,
                                                const Schema& schema);
// Beside a server that runs, in another process: reads, and refuses every write.
Result<std::unique_ptr<SnapshotStore>> open_snapshot(const std::string& where, const std::string& directory,
                                                     const Schema& schema);

// An embedded store whose files somebody else has (the simulator): state_disk.h.
class EmbeddedStore : public ServerStore {
 public:
  // What waits for a quiet moment: the database takes over its log, and the reserve is restored. Only where
  // the writer is on the caller's thread.
  virtual void idle() = 0;
};
Result<std::unique_ptr<EmbeddedStore>> open_embedded_store(std::unique_ptr<StateDisk> disk, WriterMode mode,
                                                           const Schema& schema);

Result<std::unique_ptr<ServerStore>> open_sqlite_store(const std::string& directory, const Schema& schema);
Result<std::unique_ptr<SnapshotStore>> open_sqlite_snapshot(const std::string& directory,
                                                            const Schema& schema);
Result<std::unique_ptr<ServerStore>> open_postgres(const std::string& url, const Schema& schema);
Result<std::unique_ptr<SnapshotStore>> open_postgres_snapshot(const std::string& url, const Schema& schema);

}  // namespace merlon::store
