// Programs of the machine that tests run: ssh, sshd, ssh-keygen.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace merlon::ssh::test {

struct Ran {
  int status = -1;
  std::string out;  // both streams
};

// A service of the machine that says something to whoever connects.
class Greeter {
 public:
  explicit Greeter(std::string greeting)
      : greeting_(std::move(greeting)), socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(socket_, 8);
    socklen_t size = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int there = 0; (there = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(there))
        ::send(there, greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
    });
  }
  ~Greeter() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  Greeter(const Greeter&) = delete;
  Greeter& operator=(const Greeter&) = delete;
  uint16_t port() const { return port_; }

 private:
  const std::string greeting_;
  const int socket_;
  uint16_t port_ = 0;
  std::thread thread_;
};

// A port of this machine that leads one client to a stream socket.
class Bridge {
 public:
  explicit Bridge(int there) : there_(there), socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(socket_, 1);
    socklen_t size = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { carry(::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC)); });
  }
  ~Bridge() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
    ::close(there_);
  }
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;
  uint16_t port() const { return port_; }

 private:
  void carry(int here) const {
    std::array<pollfd, 2> polls{pollfd{here, POLLIN, 0}, pollfd{there_, POLLIN, 0}};
    bool open = here >= 0;
    while (open && ::poll(polls.data(), polls.size(), 60'000) > 0)
      for (size_t from = 0; from < polls.size() && open; ++from) {
        if (polls[from].revents == 0) continue;
        std::array<char, 16 * 1024> bytes{};
        const ssize_t count = ::recv(polls[from].fd, bytes.data(), bytes.size(), 0);
        open = count > 0 &&
               ::send(polls[1 - from].fd, bytes.data(), static_cast<size_t>(count), MSG_NOSIGNAL) == count;
      }
    if (here >= 0) ::close(here);
  }

  const int there_, socket_;
  uint16_t port_ = 0;
  std::thread thread_;
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
