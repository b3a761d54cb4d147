// The one connection that writes, on a thread of its own. It alone commits and checkpoints (Debian 12's
// SQLite 3.40 can corrupt a database when one connection checkpoints while another commits; here there is no
// other).
//
// A group commit: BEGIN, each waiting write in its savepoint, the before-commit hook, COMMIT (one fsync for
// all), the after-commit effects, and only then are the callers released, so each sees the effects of its own
// write.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "store/sqlite_connection.h"
#include "store/sqlite_rows.h"
#include "store/state_directory.h"
#include "store/store.h"

namespace merlon::store {

class SqliteWriter {
 public:
  using Work = std::function<Result<void>(Transaction&)>;

  SqliteWriter(std::unique_ptr<Connection> connection, const Layout& layout, StateDirectory& directory);
  SqliteWriter(const SqliteWriter&) = delete;
  SqliteWriter& operator=(const SqliteWriter&) = delete;
  ~SqliteWriter();  // commits what waits, then checkpoints

  Result<void> write(const Work& work);
  void before_commit(Work hook);
  uint64_t commit_count() const { return commit_count_.load(); }

 private:
  using Effects = std::vector<std::function<void()>>;

  struct Waiting {
    const Work* work;
    Result<void> result;
    Effects effects;
    bool done = false;
    std::condition_variable finished;
  };

  struct Group {
    std::vector<Waiting*> writes;
    Effects hook_effects;
    size_t bytes = 0;
    bool changed = false;
    bool urgent = false;
  };

  void run();
  bool wait_for_work();
  void commit_group();
  Waiting* take(Group& group);
  Result<void> run_group(Group& group);
  Result<void> run_one(Waiting& write, Group& group);
  Result<void> run_hook(Group& group);
  Result<void> run_guarded(const Work& work, SqliteTransaction& transaction) const;
  Result<void> make_room(const Group& group);
  Result<void> commit(Group& group);
  void run_effects(const Effects& effects) const;
  void release(Group& group);

  bool checkpoint_due() const;
  void checkpoint(int frames_of_grace);
  void restore_reserve();
  static int on_wal(void* self, sqlite3* handle, const char* name, int frames);

  std::unique_ptr<Connection> connection_;
  const Layout& layout_;
  StateDirectory& directory_;
  std::atomic<uint64_t> commit_count_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Waiting*> queue_;  // each on the stack of a caller that waits
  Work hook_;                   // set once, under the mutex
  bool stopping_ = false;

  // The writer thread's own.
  int log_frames_ = 0;       // in the log at the last commit
  int copied_frames_ = 0;    // log_frames_ when a checkpoint last copied all: equal means nothing to do
  int next_checkpoint_ = 0;  // not before the log has so many frames
  std::chrono::steady_clock::time_point reserve_tried_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace merlon::store
