// posix_spawn, with nothing inherited.
#include "ssh/program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/log.h"
#include "ssh/session_process.h"

// Linux 6.3; Debian 12's headers are older.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace merlon::ssh {
namespace {

// For jemalloc (its manual, TUNING), where the program is the server's own. The process of a connection has
// one thread, so one arena; it has nothing to do most of the time, so what is freed goes back at once; and
// for each packet that it sends libssh asks for 40 KiB of zeros, which jemalloc, unless it keeps blocks of
// that size for the thread, takes from the kernel anew.
constexpr const char* kAllocator = "MALLOC_CONF=narenas:1,lg_tcache_max:16,dirty_decay_ms:0,muzzy_decay_ms:0";
constexpr int kAbove = 10;  // kClientDescriptor and kServerDescriptor
// Where the image is when the process is started. It closes that itself: posix_spawn(3) has no dup3(2).
constexpr int kImageDescriptor = kServerDescriptor + 1;
constexpr const char* kImagePath = "/proc/self/fd/5";
static_assert(kImageDescriptor == 5);

Descriptor keep_image(std::string_view image) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Descriptor file(::memfd_create("merlon-session", flags | MFD_EXEC));
  if (!file.is_open() && errno == EINVAL) file = Descriptor(::memfd_create("merlon-session", flags));
  bool good = file.is_open();
  while (good && !image.empty()) {
    const ssize_t count = ::write(file.get(), image.data(), image.size());
    good = count > 0 || (count < 0 && errno == EINTR);
    if (count > 0) image.remove_prefix(static_cast<size_t>(count));
  }
  good =
      good && ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
  if (good) return file;
  log(LogLevel::warning, "the small program of SSH sessions cannot be kept; each takes more memory",
      {{"cause", std::strerror(errno)}});
  return {};
}

// What is passed to posix_spawn(3), and freed after it.
class Inheritance {
 public:
  Inheritance(const Descriptor& connection, const Descriptor& conversation, const Descriptor& image) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, 0, 1);
    ::posix_spawn_file_actions_adddup2(&actions_, connection.get(), kClientDescriptor);
    ::posix_spawn_file_actions_adddup2(&actions_, conversation.get(), kServerDescriptor);
    if (image.is_open()) ::posix_spawn_file_actions_adddup2(&actions_, image.get(), kImageDescriptor);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_,
                                               kServerDescriptor + 1 + static_cast<int>(image.is_open()));
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_,
        static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
  }
  ~Inheritance() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  Inheritance(const Inheritance&) = delete;
  Inheritance& operator=(const Inheritance&) = delete;

  pid_t spawn(const char* path, const std::vector<std::string>& command) const {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    std::array<char*, 2> environment{const_cast<char*>(kAllocator), nullptr};
    pid_t process = -1;
    return ::posix_spawn(&process, path, &actions_, &attributes_, arguments.data(), environment.data()) == 0
               ? process
               : -1;
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

Program::Program(std::vector<std::string> command, std::string_view image)
    : command_(std::move(command)), image_(keep_image(image)) {}

pid_t Program::start(const Descriptor& connection, const Descriptor& conversation) const {
  // Away from where they are put one after the other.
  const Descriptor high_connection(::fcntl(connection.get(), F_DUPFD_CLOEXEC, kAbove));
  const Descriptor high_conversation(::fcntl(conversation.get(), F_DUPFD_CLOEXEC, kAbove));
  if (image_.is_open()) {
    const Descriptor high_image(::fcntl(image_.get(), F_DUPFD_CLOEXEC, kAbove));
    const pid_t process =
        Inheritance(high_connection, high_conversation, high_image).spawn(kImagePath, command_);
    if (process >= 0) return process;
  }
  return Inheritance(high_connection, high_conversation, {}).spawn(command_.front().c_str(), command_);
}

}  // namespace merlon::ssh
