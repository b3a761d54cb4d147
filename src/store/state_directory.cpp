// Files of the state directory, straight on Linux's system calls.
#include "store/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace merlon::store {
namespace {

constexpr off_t kReserveBytes = 8 * 1024 * 1024;
constexpr off_t kLogStep = 4 * 1024 * 1024;

std::unexpected<Error> refuse(const std::string& what, const std::string& advice, int error_number) {
  return fail(ErrorKind::unavailable, "StateDirectory",
              what + ": " + std::strerror(error_number) + ". " + advice);
}

}  // namespace

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::unique_ptr<StateDirectory>> StateDirectory::open(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return refuse("The state directory " + path + " cannot be used",
                  "Create it with mode 0700, or name another.", errno);
  }
  if (!S_ISDIR(status.st_mode)) {
    return refuse("The state directory " + path + " cannot be used", "Name a directory.", ENOTDIR);
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return fail(ErrorKind::unavailable, "StateDirectory",
                "The state directory " + path + " can be written by every user. Run: chmod 0700 " + path);
  }
  std::unique_ptr<StateDirectory> directory(new StateDirectory(path));
  TRY(directory->take_lock());
  TRY(directory->make_database_file());
  directory->restore_reserve();
  return directory;
}

// flock and not fcntl locks: it belongs to the open file, so it also stops a second store in the same
// process, and the kernel drops it however the process ends.
Result<void> StateDirectory::take_lock() {
  const std::string path = path_ + "/lock";
  lock_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_.is_open()) {
    return refuse("The lock file " + path + " cannot be opened",
                  "Give the directory to the user that runs Merlon.", errno);
  }
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> holder{};
    const ssize_t count = ::pread(lock_.get(), holder.data(), holder.size() - 1, 0);
    const std::string process =
        count > 0 ? std::string(holder.data(), static_cast<size_t>(count)) : "unknown";
    return fail(ErrorKind::conflict, "StateDirectoryInUse",
                "Another Merlon server (process " + process + ") uses the state directory " + path_ +
                    ". Stop it, or name another directory.");
  }
  const std::string process = std::to_string(::getpid());
  // The number only makes the message above better; the lock itself does not depend on it.
  if (::ftruncate(lock_.get(), 0) != 0 || ::pwrite(lock_.get(), process.data(), process.size(), 0) < 0) {
    log(LogLevel::warning, "the lock file does not hold the process id", {{"path", path}});
  }
  return {};
}

Result<void> StateDirectory::make_database_file() {
  const std::string path = database_path();
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) {
    return refuse("The database " + path + " cannot be opened", "Give it to the user that runs Merlon.",
                  errno);
  }
  return {};
}

bool StateDirectory::release_reserve() {
  if (!has_reserve_) return false;
  has_reserve_ = false;
  reserve_spent_ = true;
  if (::unlink(reserve_path().c_str()) != 0) {
    log(LogLevel::error, "the disk reserve could not be released",
        {{"path", reserve_path()}, {"error", std::strerror(errno)}});
    return false;
  }
  log(LogLevel::error,
      "THE DISK IS FULL: the reserve is released, and only urgent writes are taken until there is room",
      {{"directory", path_}, {"bytes", static_cast<int64_t>(kReserveBytes)}});
  return true;
}

void StateDirectory::restore_reserve() {
  if (has_reserve_) return;
  struct stat status{};
  const std::string path = reserve_path();
  if (::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == kReserveBytes &&
      status.st_blocks * 512 >= kReserveBytes) {
    has_reserve_ = true;
    reserve_spent_ = false;
    return;
  }
  ::unlink(path.c_str());
  struct statvfs disk{};
  if (::statvfs(path_.c_str(), &disk) != 0) return;
  if (disk.f_bavail * disk.f_frsize < 2 * static_cast<uint64_t>(kReserveBytes)) {
    if (!reserve_spent_) {
      log(LogLevel::error,
          "THE DISK IS NEARLY FULL: there is no room for the reserve, only urgent writes are taken",
          {{"directory", path_}, {"free", static_cast<int64_t>(disk.f_bavail * disk.f_frsize)}});
    }
    reserve_spent_ = true;  // also after a restart: what is free now is for urgent writes
    return;
  }
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return;
  if (::posix_fallocate(file.get(), 0, kReserveBytes) != 0) {
    ::unlink(path.c_str());
    return;
  }
  has_reserve_ = true;
  if (std::exchange(reserve_spent_, false))
    log(LogLevel::info, "the disk has room again: every write is taken", {{"directory", path_}});
  log(LogLevel::debug, "the disk reserve is in place", {{"path", path}});
}

bool StateDirectory::ensure_log_space(off_t bytes) {
  if (bytes <= log_space_ || log_space_unsupported_) return true;
  if (!log_.is_open()) {
    const std::string path = database_path() + "-wal";
    log_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!log_.is_open()) return true;  // SQLite makes the file at the first write
  }
  // Whole steps first, so that this is rare; then just what is needed, which may still fit.
  const off_t wanted = (bytes + kLogStep - 1) / kLogStep * kLogStep;
  for (const off_t size : {wanted, bytes}) {
    int code = 0;
    do {
      code = ::fallocate(log_.get(), FALLOC_FL_KEEP_SIZE, 0, size);
    } while (code != 0 && errno == EINTR);
    if (code == 0) {
      log_space_ = size;
      return true;
    }
    if (errno != ENOSPC && errno != EDQUOT) {
      log_space_unsupported_ = true;
      return true;
    }
  }
  return false;
}

}  // namespace merlon::store
