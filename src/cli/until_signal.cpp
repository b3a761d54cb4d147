// Signals are blocked and fetched with sigtimedwait(2), so that none is lost between a look and a wait.
#include "cli/until_signal.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace merlon::cli {
namespace {

constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// Of a program that is started: the signal mask that we were started with, and default handling.
class SpawnAttributes {
 public:
  explicit SpawnAttributes(const sigset_t& mask) {
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setsigmask(&attributes_, &mask);
    sigset_t usual;
    sigemptyset(&usual);
    for (const int signal : kEnding) sigaddset(&usual, signal);
    ::posix_spawnattr_setsigdefault(&attributes_, &usual);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

timespec in_seconds(std::chrono::milliseconds time) {
  return {.tv_sec = static_cast<time_t>(time.count() / 1000), .tv_nsec = (time.count() % 1000) * 1'000'000};
}

}  // namespace

SignalWatch::SignalWatch() {
  sigemptyset(&watched_);
  for (const int signal : kEnding) sigaddset(&watched_, signal);
  sigset_t blocked = watched_;
  sigaddset(&blocked, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &blocked, &before_);
}

SignalWatch::~SignalWatch() {
  // What came and was answered by ending is taken, so that it does not strike again when unblocked.
  while (wait(std::chrono::milliseconds(0))) {
  }
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<int> SignalWatch::wait(std::chrono::milliseconds time) const {
  const timespec limit = in_seconds(time);
  for (;;) {
    const int signal = ::sigtimedwait(&watched_, nullptr, &limit);
    if (signal > 0) return signal;
    if (errno != EINTR) return std::nullopt;
  }
}

Result<int> SignalWatch::run(const std::vector<std::string>& arguments) const {
  MERLON_CHECK(!arguments.empty());
  std::vector<std::string> copies = arguments;
  std::vector<char*> vector;
  for (std::string& argument : copies) vector.push_back(argument.data());
  vector.push_back(nullptr);
  const SpawnAttributes attributes(before_);
  pid_t child = 0;
  const int fault = ::posix_spawnp(&child, vector.front(), nullptr, attributes.get(), vector.data(), environ);
  if (fault != 0)
    return fail(ErrorKind::invalid, "CommandNotStarted",
                "'" + arguments.front() + "' could not be started: " + std::strerror(fault) + ".");
  sigset_t awaited = watched_;
  sigaddset(&awaited, SIGCHLD);
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) {
      if (WIFEXITED(status)) return WEXITSTATUS(status);
      if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
    }
    if (ended < 0 && errno != EINTR) return internal_error("waitpid: " + std::string(std::strerror(errno)));
    const timespec limit{.tv_sec = 1,
                         .tv_nsec = 0};  // a SIGCHLD that merged with another is found by looking
    siginfo_t from{};
    const int signal = ::sigtimedwait(&awaited, &from, &limit);
    // A terminal's Ctrl-C reaches the command too; one that a program sent to us alone does not.
    const bool by_terminal = (signal == SIGINT || signal == SIGQUIT) && from.si_code == SI_KERNEL;
    if (signal > 0 && signal != SIGCHLD && !by_terminal) ::kill(child, signal);
  }
}

}  // namespace merlon::cli
