// What an attacker, a power switch and a full disk do to the embedded store. The servers here are child
// processes; the disk's faults come in through SQLite's own table of system calls
// (sqlite3_vfs::xSetSystemCall) and through a small tmpfs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>

#include "store/sqlite_test_directory.h"

namespace merlon::store {
namespace {

constexpr int kExitIoError = 74;

// Writes as fast as it can from two threads; each key goes into the pipe once its write was acknowledged.
int write_and_acknowledge(const std::string& directory, int round, int pipe) {
  auto store = open_sqlite(directory, contract_schema());
  if (!store) return 1;
  const auto writer = [&](int thread) {
    for (int i = 0;; ++i) {
      const std::string key = std::to_string(round) + "." + std::to_string(thread) + "." + std::to_string(i);
      if (!write_note(**store, key, key + std::string(static_cast<size_t>(i % 7) * 900, 'x'))) ::_exit(2);
      const std::string line = key + "\n";
      if (::write(pipe, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(3);
    }
  };
  std::thread other([&] { writer(1); });
  writer(0);
  return 0;
}

std::vector<std::string> kill_a_writer(const std::string& directory, int round) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const pid_t child = start_child([&] { return write_and_acknowledge(directory, round, ends[1]); });
  ::close(ends[1]);
  std::string text;
  std::array<char, 65536> buffer{};
  size_t reads = 0;
  for (;;) {
    const ssize_t count = ::read(ends[0], buffer.data(), buffer.size());
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(count));
    if (++reads == 1) {  // it writes: another moment in each round
      std::this_thread::sleep_for(std::chrono::microseconds(500 + 3700 * round));
      EXPECT_EQ(::kill(child, SIGKILL), 0);
    }
  }
  ::close(ends[0]);
  EXPECT_EQ(wait_for_child(child), 128 + SIGKILL);
  std::vector<std::string> keys;
  for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    keys.push_back(text.substr(at, end - at));
  }
  return keys;
}

TEST(SqliteKill, EveryAcknowledgedWriteSurvivesKillNine) {
  const TestDirectory directory;
  std::vector<std::string> acknowledged;
  for (int round = 0; round < 20; ++round) {
    const auto keys = kill_a_writer(directory.path(), round);
    EXPECT_FALSE(keys.empty()) << "round " << round << " proved nothing";
    acknowledged.insert(acknowledged.end(), keys.begin(), keys.end());
    auto store = open_sqlite(directory.path(), contract_schema());
    ASSERT_TRUE(store) << store.error().message << store.error().cause;
    for (const std::string& key : acknowledged) {
      const auto body = read_note(**store, key);
      ASSERT_TRUE(body) << key << " was acknowledged and is lost";
      ASSERT_TRUE(body->starts_with(key));
    }
  }
}

// ---- Faults of system calls, on the log file alone.

enum class Fault { none, io_error, disk_full };
std::atomic<Fault> fault = Fault::none;
std::string log_path;  // set before a store is open

int fault_of(int descriptor) {
  const Fault now = fault.load();
  if (now == Fault::none) return 0;
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  if (size < 0 || std::string_view(path.data(), static_cast<size_t>(size)) != log_path) return 0;
  return now == Fault::io_error ? EIO : ENOSPC;
}

ssize_t faulty_write(int descriptor, const void* data, size_t size) {
  if (const int error = fault_of(descriptor); error != 0) return errno = error, -1;
  return ::write(descriptor, data, size);
}

ssize_t faulty_pwrite(int descriptor, const void* data, size_t size, off_t offset) {
  if (const int error = fault_of(descriptor); error != 0) return errno = error, -1;
  return ::pwrite(descriptor, data, size, offset);
}

void install_faults(const std::string& directory) {
  log_path = std::filesystem::canonical(directory).string() + "/merlon.db-wal";
  sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
  const auto set = [&](const char* name, auto* call) {
    vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(call));
  };
  set("write", &faulty_write);
  set("pwrite", &faulty_pwrite);
  set("pwrite64", &faulty_pwrite);
}

TEST(SqliteFault, AnIoErrorAtCommitEndsTheProcessAndIsNotAcknowledged) {
  const TestDirectory directory;
  const pid_t child = start_child([&] {
    install_faults(directory.path());
    auto store = open_sqlite(directory.path(), contract_schema());
    if (!store || !write_note(**store, "before", "1")) return 1;
    fault = Fault::io_error;
    (void)write_note(**store, "during", "1");
    return 2;  // an answer of any kind would be a promise
  });
  EXPECT_EQ(wait_for_child(child), kExitIoError);
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(read_note(**store, "before"), "1");
  EXPECT_EQ(read_note(**store, "during"), std::nullopt);
  EXPECT_TRUE(write_note(**store, "after", "1"));
}

TEST(SqliteFault, ADiskThatIsFullAtCommitFailsTheGroupAndTheServerGoesOn) {
  const TestDirectory directory;
  const pid_t child = start_child([&] {
    install_faults(directory.path());
    auto store = open_sqlite(directory.path(), contract_schema());
    if (!store || !write_note(**store, "before", "1")) return 1;
    fault = Fault::disk_full;
    const auto refused = write_note(**store, "during", "1");
    if (refused || refused.error().code != "StorageFull") return 2;
    if (read_note(**store, "during")) return 3;
    fault = Fault::none;
    if (!write_note(**store, "after", "1")) return 4;
    return read_note(**store, "before") == "1" && !read_note(**store, "during") ? 0 : 5;
  });
  EXPECT_EQ(wait_for_child(child), 0);
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(read_note(**store, "during"), std::nullopt);
  EXPECT_EQ(read_note(**store, "after"), "1");
}

// ---- A disk that is really full.

constexpr int kSkip = 77;

bool mount_small_disk(const std::string& directory) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=48m,mode=0700") == 0;
}

uint64_t free_bytes(const std::string& directory) {
  struct statvfs disk{};
  if (::statvfs(directory.c_str(), &disk) != 0) return 0;
  return disk.f_bavail * disk.f_frsize;
}

void fill_disk(const std::string& directory) {
  std::ofstream filler(directory + "/filler", std::ios::binary);
  const std::string block(4096, 'f');
  while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
  }
}

int live_through_a_full_disk(const std::string& directory) {
  if (!mount_small_disk(directory)) return kSkip;
  auto store = open_sqlite(directory, contract_schema());
  if (!store || !std::filesystem::exists(directory + "/reserve")) return 1;
  if (!write_note(**store, "before", "1")) return 2;
  fill_disk(directory);
  // What the log had taken in advance is used up first; then ordinary writes are refused.
  std::string refused;
  int written = 0;
  for (; written < 4000 && refused.empty(); ++written) {
    const auto result = write_note(**store, "ordinary" + std::to_string(written), std::string(20'000, 'x'));
    if (!result) refused = result.error().code;
  }
  if (refused != "StorageFull" || written < 10) return 3;
  if (!std::filesystem::exists(directory + "/reserve")) return 4;  // not for ordinary writes
  // Revocations go on, many of them.
  for (int i = 0; i < 200; ++i) {
    if (!write_note(**store, "revoked" + std::to_string(i), "1", true)) return 5;
  }
  const auto still_full = write_note(**store, "ordinary", std::string(20'000, 'x'));
  if (still_full || still_full.error().code != "StorageFull") return 6;
  if (read_note(**store, "before") != "1" || read_note(**store, "revoked199") != "1") return 7;
  // A restart on the full disk works, and keeps what is free for urgent writes.
  store->reset();
  store = open_sqlite(directory, contract_schema());
  if (!store) return 8;
  if (!write_note(**store, "revoked again", "1", true) || read_note(**store, "revoked199") != "1") return 9;
  // Somebody makes room: the reserve comes back by itself and every write is taken.
  std::filesystem::remove(directory + "/filler");
  if (free_bytes(directory) < 20U * 1024 * 1024) return 10;
  for (int i = 0; i < 50 && !write_note(**store, "ordinary again", "1"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  if (read_note(**store, "ordinary again") != "1") return 11;
  return std::filesystem::exists(directory + "/reserve") ? 0 : 12;
}

TEST(SqliteFault, RevocationsStillCommitOnAFullDisk) {
  const TestDirectory directory;
  const int status = wait_for_child(start_child([&] { return live_through_a_full_disk(directory.path()); }));
  if (status == kSkip)
    GTEST_SKIP() << "SKIPPED, A PROMISE IS NOT TESTED HERE: this process may not mount a tmpfs";
  EXPECT_EQ(status, 0);
}

// A snapshot that waits for its next reader must not hold the log for ever.
TEST(SqliteCheckpoint, TheLogStartsAgainThoughSomebodyReadsAfterEachWrite) {
  const TestDirectory directory;
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store);
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(write_note(**store, "k" + std::to_string(i % 10), std::string(100'000, 'x')));
    ASSERT_TRUE((*store)->read([](Reader& reader) -> Result<void> {
      TRY(reader.get(contract_notes(), contract_tenant(1), "k0"));
      return {};
    }));
  }
  EXPECT_LT(std::filesystem::file_size(directory.file("merlon.db-wal")), 12U * 1024 * 1024)
      << "30 MB were written";
}

TEST(SqliteCheckpoint, TheLogStaysBoundedAndTheIdleStoreCopiesIt) {
  const TestDirectory directory;
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store);
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(write_note(**store, "k" + std::to_string(i % 10), std::string(100'000, 'x')));
  }
  EXPECT_LT(std::filesystem::file_size(directory.file("merlon.db-wal")), 12U * 1024 * 1024)
      << "30 MB were written";
  ASSERT_TRUE(write_note(**store, "last", "found in the database file"));
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  std::ifstream file(directory.file("merlon.db"), std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_NE(content.find("found in the database file"), std::string::npos);
}

}  // namespace
}  // namespace merlon::store
