// For the kernel tests: a network namespace of the test's own, in a process of its own, with a second one at
// the other end of a veth pair. Nothing stays behind: both end with their processes. Needs root.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/text.h"

extern char** environ;

namespace merlon::agent::testing {

// The exit status of a command given as "ip link add ..."; quotes are not understood.
inline int run_command(const std::string& command, bool quiet = false) {
  std::vector<std::string> words;
  for (const std::string_view word : split(command, ' '))
    if (!word.empty()) words.emplace_back(word);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  int status = 0;
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  if (quiet) ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  const int spawned = ::posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (spawned != 0) return -1;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline void must_run(const std::string& command) { ASSERT_EQ(run_command(command), 0) << command; }

// Ends a process, and never more than one: kill() takes -1 for "every process there is", and 0 for one's own
// group.
inline void end_process(pid_t process, int signal) {
  ASSERT_GT(process, 1) << "no process to end";
  EXPECT_EQ(::kill(process, signal), 0) << std::strerror(errno);
}

// Runs `body` as the first process of fresh network, process and mount namespaces; its failures fail the
// test. Whatever it starts or signals is in there with it, and ends with it.
inline void in_fresh_namespace(const std::function<void()>& body) {
  if (::geteuid() != 0) {
    FAIL() << "this test makes network namespaces: run it as root";
    return;
  }
  std::fflush(nullptr);
  const pid_t outer = ::fork();
  ASSERT_GE(outer, 0);
  if (outer == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::unshare(CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(2);
    const pid_t inner = ::fork();
    if (inner == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const bool ready = ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("proc", "/proc", "proc", 0, nullptr) == 0 &&
                         run_command("ip link set lo up") == 0;
      EXPECT_TRUE(ready) << "no namespaces: " << std::strerror(errno);
      if (ready) body();
      std::fflush(nullptr);
      ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    const bool waited = inner > 0 && ::waitpid(inner, &status, 0) == inner;
    ::_exit(waited && WIFEXITED(status) ? WEXITSTATUS(status) : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(outer, &status, 0), outer);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "see the failure above; status " << status;
}

inline void write_sysctl(const std::string& path, const std::string& value) {
  std::ofstream file("/proc/sys/net/" + path);
  file << value;
  file.flush();
  EXPECT_TRUE(file.good()) << path;
}

inline constexpr char kMachineMac[] = "02:00:00:00:00:04";
inline constexpr char kPeerMac[] = "02:00:00:00:00:fe";

// The other end of a cable: "m0" with addresses here (10.1.0.4 to .6, fd00:1::4 to ::6, everything else by
// way of the peer), "p0" in a namespace of its own that belongs to a sleeping process.
class Peer {
 public:
  Peer() {
    own_ = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    sleeper_ = ::fork();
    if (sleeper_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::unshare(CLONE_NEWNET) != 0) ::_exit(1);
      ::pause();
      ::_exit(0);
    }
    const std::string place = "/proc/" + std::to_string(sleeper_) + "/ns/net";
    // The sleeper is there when its namespace is no longer ours.
    for (int i = 0; i < 1000 && same_namespace("/proc/self/ns/net", place); ++i) ::usleep(1000);
    peer_ = ::open(place.c_str(), O_RDONLY | O_CLOEXEC);
    build();
  }
  ~Peer() {
    if (sleeper_ > 1) ::kill(sleeper_, SIGKILL);
    ::waitpid(sleeper_, nullptr, 0);
    ::close(own_);
    ::close(peer_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // What `work` opens or starts there stays there.
  void there(const std::function<void()>& work) const {
    ASSERT_EQ(::setns(peer_, CLONE_NEWNET), 0);
    work();
    ASSERT_EQ(::setns(own_, CLONE_NEWNET), 0);
  }

 private:
  static bool same_namespace(const std::string& a, const std::string& b) {
    char left[64] = {};
    char right[64] = {};
    const ssize_t left_size = ::readlink(a.c_str(), left, sizeof left - 1);
    const ssize_t right_size = ::readlink(b.c_str(), right, sizeof right - 1);
    return left_size <= 0 || right_size <= 0 || std::string(left) == right;
  }
  void build() const {
    for (const char* conf : {"ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter"})
      write_sysctl(conf, "0");
    write_sysctl("ipv6/conf/default/accept_dad", "0");
    must_run(std::string("ip link add m0 address ") + kMachineMac + " type veth peer name p0 address " +
             kPeerMac);
    must_run("ip link set p0 netns " + std::to_string(sleeper_));
    for (const char* address : {"10.1.0.4/24", "10.1.0.5/24", "10.1.0.6/24"})
      must_run(std::string("ip address add ") + address + " dev m0");
    for (const char* address : {"fd00:1::4/64", "fd00:1::5/64", "fd00:1::6/64"})
      must_run(std::string("ip -6 address add ") + address + " dev m0 nodad");
    must_run("ip link set m0 up");
    there([] {
      must_run("ip link set lo up");
      must_run("ip address add 10.1.0.254/24 dev p0");
      must_run("ip -6 address add fd00:1::fe/64 dev p0 nodad");
      must_run("ip link set p0 up");
      // Answers to made-up sources go nowhere, and nothing comes back about them.
      must_run("ip route add blackhole default");
      must_run("ip -6 route add blackhole default");
      for (const char* address : {"10.1.0.4", "10.1.0.5", "10.1.0.6", "fd00:1::4", "fd00:1::5", "fd00:1::6"})
        must_run(std::string("ip neigh replace ") + address + " lladdr " + kMachineMac +
                 " dev p0 nud permanent");
    });
    for (const char* gateway : {"10.1.0.254", "fd00:1::fe"})
      must_run(std::string("ip neigh replace ") + gateway + " lladdr " + kPeerMac + " dev m0 nud permanent");
    must_run("ip route add default via 10.1.0.254");
    must_run("ip -6 route add default via fd00:1::fe");
  }
  int own_ = -1;
  int peer_ = -1;
  pid_t sleeper_ = -1;
};

}  // namespace merlon::agent::testing
