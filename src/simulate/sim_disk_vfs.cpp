// SQLite on a simulated disk: a "VFS" as https://www.sqlite.org/vfs.html describes it, over SimDisk's files.
// Each open database is named by the number of its disk: "/7/merlon.db".
// tidy: allow(include) because a disk below SQLite is SQLite's own interface
#include <sqlite3.h>

#include <charconv>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "simulate/sim_disk.h"

namespace merlon::simulate {
namespace {

constexpr const char* kVfsName = "merlon-simulated";

// The disks that are in use in this process, by number; histories are played on several threads.
class Disks {
 public:
  uint64_t add(std::shared_ptr<SimDisk> disk) {
    const std::lock_guard lock(mutex_);
    disks_.emplace(++last_, std::move(disk));
    return last_;
  }
  void remove(uint64_t number) {
    const std::lock_guard lock(mutex_);
    disks_.erase(number);
  }
  std::shared_ptr<SimDisk> find(uint64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = disks_.find(number);
    return found == disks_.end() ? nullptr : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<SimDisk>> disks_;
  uint64_t last_ = 0;
};

Disks& disks() {
  static Disks all;
  return all;
}

struct Place {
  std::shared_ptr<SimDisk> disk;
  std::string name;
};

Place place_of(const char* path) {
  const std::string_view text(path);
  const size_t slash = text.find('/', 1);
  uint64_t number = 0;
  if (slash == std::string_view::npos) return {};
  std::from_chars(text.data() + 1, text.data() + slash, number);
  return {disks().find(number), std::string(text.substr(slash + 1))};
}

// What SQLite gives room for and knows by its first member.
struct Handle {
  sqlite3_file base;
  std::shared_ptr<SimDisk> disk;
  SimFile* file = nullptr;
  int level = SQLITE_LOCK_NONE;
  bool is_log = false, has_memory = false;
  std::array<int, SharedMemory::kLocks> shared{};  // 1: shared by this connection; -1: its alone
};

Handle& handle_of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }

// ---- Bytes.

int close_file(sqlite3_file* file) {
  handle_of(file).~Handle();
  return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
  Handle& handle = handle_of(file);
  if (handle.disk->fails()) return SQLITE_IOERR_READ;
  const auto at = static_cast<size_t>(offset), wanted = static_cast<size_t>(count);
  auto* bytes = static_cast<uint8_t*>(out);
  const size_t size = handle.file->size();
  if (at + wanted <= size) {
    handle.file->read(at, bytes, wanted);
    return SQLITE_OK;
  }
  std::memset(bytes, 0, wanted);  // as SQLite demands of a short read
  if (at < size) handle.file->read(at, bytes, size - at);
  return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
  Handle& handle = handle_of(file);
  const auto at = static_cast<size_t>(offset), given = static_cast<size_t>(count);
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (handle.disk->fails()) {
    handle.file->write(at, bytes, given / 2);  // as a disk that fails in the middle leaves it
    return SQLITE_IOERR_WRITE;
  }
  const size_t size = handle.file->size();
  if (at + given > size) {
    const bool room = handle.is_log ? handle.disk->take_room_for_log(at + given)
                                    : handle.disk->take_room(at + given - size);
    if (!room) return SQLITE_FULL;
  }
  handle.file->write(at, bytes, given);
  return SQLITE_OK;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  if (handle_of(file).disk->fails()) return SQLITE_IOERR_TRUNCATE;
  handle_of(file).file->truncate(static_cast<size_t>(size));
  return SQLITE_OK;
}

int sync_file(sqlite3_file* file, int) {
  if (handle_of(file).disk->fails()) return SQLITE_IOERR_FSYNC;
  if (!handle_of(file).disk->faults().lies) handle_of(file).file->sync();
  return SQLITE_OK;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(handle_of(file).file->size());
  return SQLITE_OK;
}

// ---- Locks on the file.

int lock_file(sqlite3_file* file, int level) {
  Handle& handle = handle_of(file);
  FileLocks& locks = handle.disk->locks();
  if (level <= handle.level) return SQLITE_OK;
  const auto others = [&](const void* owner) { return owner != nullptr && owner != file; };
  if (level == SQLITE_LOCK_SHARED) {
    if (locks.pending != nullptr) return SQLITE_BUSY;
    ++locks.readers;
  } else if (level == SQLITE_LOCK_RESERVED) {
    if (others(locks.reserved)) return SQLITE_BUSY;
    locks.reserved = file;
  } else {
    if (others(locks.reserved) || others(locks.pending)) return SQLITE_BUSY;
    locks.reserved = locks.pending = file;
    if (locks.readers > 1) {
      handle.level = SQLITE_LOCK_PENDING;
      return SQLITE_BUSY;
    }
  }
  handle.level = level;
  return SQLITE_OK;
}

int unlock_file(sqlite3_file* file, int level) {
  Handle& handle = handle_of(file);
  FileLocks& locks = handle.disk->locks();
  if (level >= handle.level) return SQLITE_OK;
  if (locks.pending == file) locks.pending = nullptr;
  if (locks.reserved == file) locks.reserved = nullptr;
  if (level == SQLITE_LOCK_NONE) --locks.readers;
  handle.level = level;
  return SQLITE_OK;
}

int is_reserved(sqlite3_file* file, int* reserved) {
  *reserved = handle_of(file).disk->locks().reserved != nullptr ? 1 : 0;
  return SQLITE_OK;
}

int control_file(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return static_cast<int>(SimFile::kSector); }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

// ---- Shared memory: the wal-index (https://www.sqlite.org/walformat.html).

int map_memory(sqlite3_file* file, int number, int size, int extend, void volatile** memory) {
  auto& memory_of_all = handle_of(file).disk->shared_memory();
  auto& regions = memory_of_all.regions;
  if (!std::exchange(handle_of(file).has_memory, true)) ++memory_of_all.users;
  const auto wanted = static_cast<size_t>(number);
  *memory = nullptr;
  if (wanted >= regions.size() && extend == 0) return SQLITE_OK;
  while (wanted >= regions.size())
    regions.push_back(std::make_unique<std::vector<uint8_t>>(static_cast<size_t>(size)));
  *memory = regions[wanted]->data();
  return SQLITE_OK;
}

int lock_memory(sqlite3_file* file, int first, int count, int flags) {
  Handle& handle = handle_of(file);
  auto& held = handle.disk->shared_memory().held;
  const auto begin = static_cast<size_t>(first), end = begin + static_cast<size_t>(count);
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    for (size_t i = begin; i < end; ++i) {
      held[i] -= handle.shared[i];
      handle.shared[i] = 0;
    }
    return SQLITE_OK;
  }
  const bool alone = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  for (size_t i = begin; i < end; ++i) {
    if (handle.shared[i] != 0 && !alone) return SQLITE_OK;
    if (alone ? held[i] != 0 : held[i] < 0) return SQLITE_BUSY;
  }
  for (size_t i = begin; i < end; ++i) {
    handle.shared[i] = alone ? -1 : 1;
    held[i] += handle.shared[i];
  }
  return SQLITE_OK;
}

void barrier(sqlite3_file*) {}

int unmap_memory(sqlite3_file* file, int) {
  Handle& handle = handle_of(file);
  lock_memory(file, 0, static_cast<int>(SharedMemory::kLocks), SQLITE_SHM_UNLOCK);
  auto& memory = handle.disk->shared_memory();
  if (std::exchange(handle.has_memory, false) && --memory.users == 0) memory.regions.clear();
  return SQLITE_OK;
}

// ---- Names.

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* given) {
  static const sqlite3_io_methods kMethods = [] {
    sqlite3_io_methods methods{};
    methods.iVersion = 2;
    methods.xClose = close_file;
    methods.xRead = read_file;
    methods.xWrite = write_file;
    methods.xTruncate = truncate_file;
    methods.xSync = sync_file;
    methods.xFileSize = size_of_file;
    methods.xLock = lock_file;
    methods.xUnlock = unlock_file;
    methods.xCheckReservedLock = is_reserved;
    methods.xFileControl = control_file;
    methods.xSectorSize = sector_size;
    methods.xDeviceCharacteristics = characteristics;
    methods.xShmMap = map_memory;
    methods.xShmLock = lock_memory;
    methods.xShmBarrier = barrier;
    methods.xShmUnmap = unmap_memory;
    return methods;
  }();
  file->pMethods = nullptr;
  if (path == nullptr) return SQLITE_CANTOPEN;  // temporary files are in memory: sqlite_connection.cpp
  Place place = place_of(path);
  if (!place.disk) return SQLITE_CANTOPEN;
  if (!place.disk->has(place.name) && (flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
  SimFile& bytes = place.disk->make(place.name);
  // tidy: allow(raw-new) because SQLite gives the memory, and takes it back after xClose
  auto* handle = new (file) Handle{};
  handle->base.pMethods = &kMethods;
  handle->disk = std::move(place.disk);
  handle->file = &bytes;
  handle->is_log = place.name.ends_with("-wal");
  if (given != nullptr) *given = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs*, const char* path, int) {
  const Place place = place_of(path);
  if (!place.disk || !place.disk->has(place.name)) return SQLITE_IOERR_DELETE_NOENT;
  if (place.disk->fails()) return SQLITE_IOERR_DELETE;
  place.disk->remove(place.name);
  return SQLITE_OK;
}

int access_file(sqlite3_vfs*, const char* path, int, int* is_there) {
  const Place place = place_of(path);
  *is_there = place.disk && place.disk->has(place.name) ? 1 : 0;
  return SQLITE_OK;
}

int full_name(sqlite3_vfs*, const char* path, int size, char* out) {
  const std::string_view text(path);
  if (text.size() >= static_cast<size_t>(size)) return SQLITE_CANTOPEN;
  std::memcpy(out, path, text.size() + 1);
  return SQLITE_OK;
}

// The system's, with another way to files: what it knows of chance, time and sleep stays its own.
void install() {
  static const bool done = [] {
    static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
    vfs.iVersion = 2;
    vfs.szOsFile = sizeof(Handle);
    vfs.zName = kVfsName;
    vfs.pNext = nullptr;
    vfs.xOpen = open_file;
    vfs.xDelete = delete_file;
    vfs.xAccess = access_file;
    vfs.xFullPathname = full_name;
    return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
  }();
  MERLON_CHECK(done);
}

class SimStateDisk final : public store::StateDisk {
 public:
  explicit SimStateDisk(std::shared_ptr<SimDisk> disk) : disk_(std::move(disk)), number_(disks().add(disk_)) {
    disk_->make("merlon.db");
    spent_ = !disk_->restore_reserve();
  }
  SimStateDisk(const SimStateDisk&) = delete;
  SimStateDisk& operator=(const SimStateDisk&) = delete;
  ~SimStateDisk() override { disks().remove(number_); }

  std::string database_path() const override { return "/" + std::to_string(number_) + "/merlon.db"; }
  const char* vfs() const override { return kVfsName; }
  bool has_reserve() const override { return disk_->has_reserve(); }
  bool reserve_was_spent() const override { return spent_; }
  bool release_reserve() override {
    const bool released = disk_->release_reserve();
    spent_ = spent_ || released;
    return released;
  }
  void restore_reserve() override {
    if (disk_->restore_reserve()) spent_ = false;
  }
  bool ensure_log_space(off_t bytes) override { return disk_->take_room_for_log(static_cast<size_t>(bytes)); }

 private:
  std::shared_ptr<SimDisk> disk_;
  const uint64_t number_;
  bool spent_ = false;
};

}  // namespace

std::unique_ptr<store::StateDisk> state_disk_on(std::shared_ptr<SimDisk> disk) {
  install();
  return std::make_unique<SimStateDisk>(std::move(disk));
}

}  // namespace merlon::simulate
