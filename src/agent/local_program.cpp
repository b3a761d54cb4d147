// posix_spawn, two pipes, and a time limit.
#include "agent/local_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "store/state_directory.h"

namespace merlon::agent {
namespace {

constexpr size_t kOutputMax = 256 * 1024;
constexpr Duration kBetweenLooks{10};

struct Pipe {
  store::FileDescriptor read, write;
  static Result<Pipe> make() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      return internal_error(std::string("pipe: ") + std::strerror(errno));
    return Pipe{store::FileDescriptor(ends[0]), store::FileDescriptor(ends[1])};
  }
};

Result<pid_t> spawn(const std::vector<std::string>& arguments, int out, int err) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale = "LC_ALL=C";
  std::array<char*, 3> environment{path.data(), locale.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err, 2);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, argv[0], &actions, &attributes, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error == 0) return child;
  return fail(ErrorKind::unavailable, "ProgramNotStarted",
              "The program " + arguments.front() + " could not be started: " + std::strerror(error) + ".");
}

// False at its end.
bool take(int descriptor, std::string& into) {
  std::array<char, 16 * 1024> part{};
  const ssize_t size = ::read(descriptor, part.data(), part.size());
  if (size < 0 && errno == EINTR) return true;
  if (size <= 0) return false;
  into.append(part.data(),
              std::min(static_cast<size_t>(size), kOutputMax - std::min(kOutputMax, into.size())));
  return true;
}

}  // namespace

Result<ProgramEnd> run_program(const std::vector<std::string>& arguments, Duration within) {
  const SystemClock clock;
  const Duration until = clock.boottime() + within;
  Pipe out = TRY(Pipe::make());
  Pipe err = TRY(Pipe::make());
  const pid_t child = TRY(spawn(arguments, out.write.get(), err.write.get()));
  out.write = {};
  err.write = {};
  ProgramEnd end;
  std::array<pollfd, 2> wait{{{.fd = out.read.get(), .events = POLLIN, .revents = 0},
                              {.fd = err.read.get(), .events = POLLIN, .revents = 0}}};
  int status = 0;
  bool ended = false;
  while (clock.boottime() < until) {
    if (wait[0].fd < 0 && wait[1].fd < 0) {
      ended = ::waitpid(child, &status, WNOHANG) == child;
      if (ended) break;
    }
    const bool reads = wait[0].fd >= 0 || wait[1].fd >= 0;
    const Duration left = until - clock.boottime();
    ::poll(wait.data(), wait.size(), static_cast<int>((reads ? left : kBetweenLooks).count()));
    if (wait[0].revents != 0 && !take(wait[0].fd, end.out)) wait[0].fd = -1;
    if (wait[1].revents != 0 && !take(wait[1].fd, end.err)) wait[1].fd = -1;
  }
  if (!ended) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return fail(ErrorKind::unavailable, "ProgramTooSlow",
                "The program " + arguments.front() + " did not end within " +
                    std::to_string(within.count() / 1000) + " s and was killed.");
  }
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return end;
}

}  // namespace merlon::agent
