// The directory that holds the database: a lock against a second server, a reserve of disk space, and space
// for the write-ahead log taken before it is needed.
//
//   merlon.db, merlon.db-wal, merlon.db-shm   SQLite's
//   lock                                      flock'ed while a server runs; holds its process id
//   reserve                                   space given up when the disk is full (Transaction::urgent)
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/state_disk.h"

namespace merlon::store {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();
  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

class StateDirectory final : public StateDisk {
 public:
  // Takes the lock and the reserve; makes an empty database file of mode 0600 (SQLite gives its other files
  // the same).
  static Result<std::unique_ptr<StateDirectory>> open(const std::string& path);

  std::string database_path() const override { return path_ + "/merlon.db"; }
  bool has_reserve() const override { return has_reserve_; }
  bool reserve_was_spent() const override { return reserve_spent_; }
  bool release_reserve() override;
  void restore_reserve() override;
  bool ensure_log_space(off_t bytes) override;

 private:
  explicit StateDirectory(std::string path) : path_(std::move(path)) {}
  Result<void> take_lock();
  Result<void> make_database_file();
  std::string reserve_path() const { return path_ + "/reserve"; }

  std::string path_;
  FileDescriptor lock_;
  FileDescriptor log_;
  off_t log_space_ = 0;
  bool log_space_unsupported_ = false;
  bool has_reserve_ = false;
  bool reserve_spent_ = false;
};

}  // namespace merlon::store
