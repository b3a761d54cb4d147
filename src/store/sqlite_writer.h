// The one connection that writes, on a thread of its own. It alone commits and checkpoints (Debian 12's
// SQLite 3.40 can corrupt a database when one connection checkpoints while another commits; here there is no
// other).
//
// A group commit: BEGIN, each waiting write in its savepoint, the before-commit hook, COMMIT (one fsync for
// all), the after-commit effects, and only then are the callers released, so each sees the effects of its own
// write.
//
// In the simulator (WriterMode::callers_thread) the same happens on the caller's thread, one write at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "store/sqlite_connection.h"
#include "store/sqlite_readers.h"
#include "store/sqlite_rows.h"
#include "store/state_disk.h"
#include "store/store.h"
#include "store/write_queue.h"

namespace merlon::store {

class SqliteWriter {
 public:
  SqliteWriter(std::unique_ptr<Connection> connection, const Layout& layout, StateDisk& disk, WriterMode mode,
               TableChanges& changes, SqliteReaders& readers);
  SqliteWriter(const SqliteWriter&) = delete;
  SqliteWriter& operator=(const SqliteWriter&) = delete;
  ~SqliteWriter();  // commits what waits, then checkpoints

  Result<void> write(const Work& work);
  void write_later(Work work, LaterWrites::Told told);
  LaterWrites::Expected expect_write() { return queue_.expect_write(); }
  void idle();  // does what waits for a quiet moment; on the caller's thread alone
  void before_commit(BeforeCommit hook) { queue_.before_commit(std::move(hook)); }
  uint64_t commit_count() const { return commit_count_.load(); }

 private:
  struct Group {
    std::vector<WaitingWrite*> writes;
    std::vector<std::any> handed_over;  // in the order of the writes
    Effects hook_effects;
    TableNames tables;  // that a write of this group has changed, if only for a while
    size_t bytes = 0;
    bool changed = false;
    bool urgent = false;
  };

  void begin();
  void run();
  void close();
  bool wait_for_work();
  void commit_group();
  static bool is_full(const Group& group);
  WaitingWrite* take(Group& group);
  bool wait_for_company(const Group& group, std::chrono::steady_clock::time_point begun);
  Result<void> run_group(Group& group);
  Result<void> run_one(WaitingWrite& write, Group& group);
  Result<void> run_hook(Group& group);
  Result<void> number_commit();
  Result<void> make_room(const Group& group);
  Result<void> commit(Group& group);

  bool checkpoint_due() const;
  void checkpoint(int frames_of_grace);
  void restore_reserve();
  [[noreturn]] void give_up(const char* doing, const Error& error);
  static int on_wal(void* self, sqlite3* handle, const char* name, int frames);

  std::unique_ptr<Connection> connection_;
  const Layout& layout_;
  StateDisk& directory_;
  const WriterMode mode_;
  TableChanges& changes_;
  SqliteReaders& readers_;
  std::atomic<uint64_t> commit_count_ = 0;

  WriteQueue queue_;

  // The writer thread's own.
  uint32_t commit_number_ = 0;  // of the newest commit
  int log_frames_ = 0;          // in the log at the last commit
  int copied_frames_ = 0;       // log_frames_ when a checkpoint last copied all: equal means nothing to do
  int next_checkpoint_ = 0;     // not before the log has so many frames
  std::chrono::steady_clock::time_point reserve_tried_;
  size_t company_ = 0;                    // how many wrote at the last commit, or waited behind it
  std::chrono::nanoseconds patience_{0};  // with those of them who are not back yet
  std::mutex one_at_a_time_;              // of callers that write by themselves
  std::atomic<std::thread::id> writing_;  // who does so now
  bool given_up_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace merlon::store
