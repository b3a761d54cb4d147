// Callers that wait for their write, and what every writer does alike: one thread takes them in groups, runs
// each, and lets them go once the group's fate is known. Not for other rooms: store.h is theirs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/later_writes.h"
#include "store/store.h"

namespace merlon::store {

using Work = std::function<Result<void>(Transaction&)>;
using Effects = std::vector<std::function<void()>>;

// Somebody waits for it, on whose stack it is, or it is its own and tells.
struct WaitingWrite {
  const Work* work;
  Result<void> result;
  Effects effects;
  Work own_work{};
  LaterWrites::Told told{};
  // Of its own: were it the queue's, all that one commit lets go would wait for each other.
  std::mutex mutex{};
  bool done = false;  // under it
  std::condition_variable finished{};
};

class WriteQueue {
 public:
  // Blocks until the writer's thread has let this write go. Called from that thread it would wait for itself
  // for ever: that is checked.
  Result<void> write(const Work& work);
  void write_later(Work work, LaterWrites::Told told);
  LaterWrites::Expected expect_write();
  void before_commit(BeforeCommit hook);
  const BeforeCommit* hook();  // nothing before it was set; afterwards it does not change

  void belongs_to_this_thread();
  void add(WaitingWrite& write);  // by a writer that has no thread
  WaitingWrite* take();           // nothing when nobody waits
  // True when somebody waits, false when the queue has stopped and is empty, nothing when `patience` is over.
  std::optional<bool> wait(std::optional<std::chrono::milliseconds> patience);
  bool wait_until(std::chrono::steady_clock::time_point end);  // whether somebody waits
  struct Company {
    size_t come = 0;    // who has been taken
    size_t enough = 0;  // with them
  };
  // Until no more are expected than have come, or enough have; whether somebody waits. Sleeps through those
  // who come before that.
  bool wait_for_expected(std::chrono::steady_clock::time_point end, const Company& company);
  bool expects();
  size_t size();
  void release(const std::vector<WaitingWrite*>& writes);
  void stop();

 private:
  bool is_wanted() const;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<WaitingWrite*> queue_;
  BeforeCommit hook_;  // set once, under the mutex
  std::thread::id owner_;
  std::optional<Company> company_;  // while the owner waits for who is expected
  size_t expected_ = 0;
  bool stopping_ = false;
};

// A caller's exception must not end the thread that everyone waits for.
Result<void> run_guarded(const Work& work, Transaction& transaction);
Result<void> run_guarded(const BeforeCommit& hook, Transaction& transaction,
                         const std::vector<std::any>& handed_over);
Result<void> run_guarded(const std::function<Result<void>(Reader&)>& work, Reader& reader);
void run_effects(const Effects& effects);

// After a failed write, fsync or COMMIT nobody knows what is on the disk, and a second fsync may report
// success over lost pages (https://www.sqlite.org/lockingv3.html; "fsyncgate"). The process ends with
// EX_IOERR of sysexits.h; the next start finds the commit whole or not there.
[[noreturn]] void end_process(const char* doing, const Error& error);

}  // namespace merlon::store
