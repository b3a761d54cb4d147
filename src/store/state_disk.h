// Where an embedded database lives, as far as its writer meets it: which of SQLite's file systems has it, and
// the space that is kept ready for a full disk. state_directory.h is the one that servers have; the simulator
// brings a disk of its own, which loses power and refuses when it is told to.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/result.h"

namespace merlon::store {

class StateDisk {
 public:
  virtual ~StateDisk() = default;

  virtual std::string database_path() const = 0;
  // SQLite's name of it (sqlite3_vfs_register); null is the operating system.
  virtual const char* vfs() const { return nullptr; }

  virtual bool has_reserve() const = 0;
  virtual bool reserve_was_spent() const = 0;  // and there is no room to restore it
  virtual bool release_reserve() = 0;          // false: there was none
  virtual void restore_reserve() = 0;  // when the disk has room for it twice over; quietly nothing otherwise

  // True once the log file owns disk blocks for its first `bytes`, so that writing them cannot find the disk
  // full. False: the disk has no room. Where the filesystem cannot promise that, true: a full disk then shows
  // at COMMIT.
  virtual bool ensure_log_space(off_t bytes) = 0;
};

// How the writer of an embedded store runs.
struct WriterMode {
  // Each write by whoever asks for it, and chores when idle() is called: the simulator's, in which the order
  // of things must come from its seed. Otherwise a thread of the store's own takes many writes at a time.
  bool callers_thread = false;
  // Called before the process would end, because nobody knows any more what is on the disk. It does not
  // return: it throws to whoever plays the process. Only with `callers_thread`.
  std::function<void(const Error&)> instead_of_exit;
};

}  // namespace merlon::store
