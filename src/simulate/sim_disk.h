// A server's disk as SQLite and the store's writer meet it, in memory: it can be full, fail, and lose power,
// in which case what was not synced is there or not, sector by sector. Not thread-safe: one history has it.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulate/seeded_random.h"
#include "store/state_disk.h"

namespace merlon::simulate {

// The bytes of one file, in pages that copies share until one of them writes.
class SimFile {
 public:
  static constexpr size_t kPage = 4096;
  static constexpr size_t kSector =
      512;  // what a disk writes whole (sqlite.org/atomiccommit.html, section 2)

  size_t size() const { return size_; }
  void read(size_t offset, uint8_t* out, size_t count) const;  // zeros where nothing was written
  void write(size_t offset, const uint8_t* data, size_t count);
  void truncate(size_t size);
  void sync();
  bool is_synced() const { return before_.empty() && size_ == synced_size_; }
  // As it is found after a loss of power.
  SimFile after_power_loss(SeededRandom& random) const;

 private:
  using Page = std::array<uint8_t, kPage>;
  Page& page_to_write(size_t number);

  size_t size_ = 0, synced_size_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;        // null: zeros
  std::map<size_t, std::shared_ptr<Page>> before_;  // pages changed since the last sync, as they were then
};

// Memory that connections share (the wal-index), and their locks on it.
struct SharedMemory {
  static constexpr size_t kLocks = 8;  // SQLITE_SHM_NLOCK
  std::vector<std::unique_ptr<std::vector<uint8_t>>> regions;
  std::array<int, kLocks> held{};  // -1: by one alone; else by how many
  int users = 0;                   // it is gone with the last one
};

// Who has a database file, by SQLite's five states (sqlite.org/lockingv3.html).
struct FileLocks {
  int readers = 0;
  const void* reserved = nullptr;  // whoever is going to write
  const void* pending = nullptr;   // waits for readers to go, and lets none in
};

enum class Death {
  killed,      // -9: the next start finds the files as they are now
  power_lost,  // and with it what was not synced
};

struct DiskFaults {
  bool full = false;
  int fail_in = 0;      // counts down at each read, write and sync; at 1 that one fails
  bool broken = false;  // and every later one
  unsigned failed = 0;  // so far
  bool lies = false;    // a bug, for the test that the simulator notices: what it says is synced is not
};

class SimDisk {
 public:
  SimDisk() = default;
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  // The files as the next process finds them: after the death of this one, or of the computer under it.
  std::shared_ptr<SimDisk> after_kill() const;
  std::shared_ptr<SimDisk> after_power_loss(SeededRandom& random) const;

  SimFile* find(const std::string& name);
  SimFile& make(const std::string& name) { return files_[name]; }
  void remove(const std::string& name) { files_.erase(name); }
  bool has(const std::string& name) const { return files_.contains(name); }
  SharedMemory& shared_memory() { return shared_; }
  FileLocks& locks() { return locks_; }

  // Between this disk and a directory of the machine's own.
  Result<void> load(const std::string& directory);
  Result<void> save(const std::string& directory) const;

  DiskFaults& faults() { return faults_; }
  bool fails();  // whether this operation is to fail
  void break_down() { faults_.broken = true; }
  // Blocks for so many bytes beyond those that are there.
  bool take_room(size_t more);
  bool take_room_for_log(size_t bytes);  // from its beginning
  bool release_reserve();
  bool restore_reserve();
  bool has_reserve() const { return has_reserve_; }

 private:
  std::map<std::string, SimFile> files_;
  SharedMemory shared_;
  FileLocks locks_;
  DiskFaults faults_;
  bool has_reserve_ = true;
  size_t log_room_ = 0;
  size_t left_when_full_ = 0;  // of the reserve
};

// What a server's store opens. The disk outlives it.
std::unique_ptr<store::StateDisk> state_disk_on(std::shared_ptr<SimDisk> disk);

}  // namespace merlon::simulate
