// The one connection of this server that writes, on a thread of its own. Not for other rooms.
//
// A group commit: BEGIN, the update of merlon_writer's row, each waiting write in its savepoint, the
// before-commit hook, COMMIT, the effects, and only then are the callers released. The row is locked until
// COMMIT, so the groups of all servers follow one another: each sees all that was committed before it, the
// ledger's sequencer too, and no write can fail for another server's sake once it has begun
// (docs/decisions/0005).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "store/layout.h"
#include "store/postgres_connection.h"
#include "store/postgres_rows.h"
#include "store/write_queue.h"

namespace merlon::store {

// The numbers of this server's own commits that nobody has looked at yet: what else is counted in the
// database is others' work.
class OwnCommits {
 public:
  void add(int64_t number);
  void remove(int64_t number);  // rolled back: another may get it
  // Whether a number of (from, to] is not ours; forgets them.
  bool others_in(int64_t from, int64_t to);

 private:
  std::mutex mutex_;
  std::set<int64_t> numbers_;
};

class PostgresWriter {
 public:
  PostgresWriter(PostgresAddress address, const Layout& layout, size_t migrations);
  PostgresWriter(const PostgresWriter&) = delete;
  PostgresWriter& operator=(const PostgresWriter&) = delete;
  ~PostgresWriter();  // commits what waits

  Result<void> write(const Work& work) { return queue_.write(work); }
  void before_commit(BeforeCommit hook) { queue_.before_commit(std::move(hook)); }
  uint64_t commit_count() const { return commit_count_.load(); }
  OwnCommits& own_commits() { return own_; }

 private:
  struct Group {
    std::vector<WaitingWrite*> writes;
    std::vector<std::any> handed_over;  // in the order of the writes
    Effects hook_effects;
    size_t bytes = 0;
    bool changed = false;
    bool savepoint_is_fresh = false;
  };

  void run();
  WaitingWrite* take(Group& group);
  void commit_group();
  Result<void> begin();
  Result<void> begin_once();
  Result<void> run_group(Group& group);
  Result<void> run_one(WaitingWrite& write, Group& group);
  Result<void> run_hook(Group& group);
  Result<void> commit();
  void roll_back();

  PostgresAddress address_;
  const Layout& layout_;
  const size_t migrations_;
  OwnCommits own_;
  std::atomic<uint64_t> commit_count_ = 0;
  WriteQueue queue_;

  // The writer thread's own.
  std::unique_ptr<PostgresConnection> connection_;
  int64_t number_ = 0;  // of the group that is open

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace merlon::store
