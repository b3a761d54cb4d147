// Programs of the machine that tests run: ssh, sshd, ssh-keygen.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <vector>

extern char** environ;

namespace merlon::ssh::test {

struct Ran {
  int status = -1;
  std::string out;  // both streams
};

inline pid_t start(const std::vector<std::string>& words, int out) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, out, 2);
  pid_t process = -1;
  posix_spawnp(&process, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return process;
}

inline Ran run(const std::vector<std::string>& words, int seconds = 60) {
  std::array<int, 2> pipe{};
  Ran ran;
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return ran;
  const pid_t process = start(words, pipe[1]);
  ::close(pipe[1]);
  for (;;) {
    pollfd poll{pipe[0], POLLIN, 0};
    if (::poll(&poll, 1, seconds * 1000) <= 0) {
      ran.out += "[no end within its time]";
      ::kill(process, SIGKILL);
      break;
    }
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(pipe[0], bytes.data(), bytes.size());
    if (count <= 0) break;
    ran.out.append(bytes.data(), static_cast<size_t>(count));
  }
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(process, &status, 0);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

}  // namespace merlon::ssh::test
