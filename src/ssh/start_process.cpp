// posix_spawn, with nothing inherited.
#include "ssh/start_process.h"

#include <fcntl.h>
#include <spawn.h>

#include <array>
#include <csignal>

#include "ssh/session_process.h"

namespace merlon::ssh {
namespace {

// For jemalloc (its manual, TUNING). The process of a connection has one thread, so one arena; it has nothing
// to do most of the time, so what is freed goes back at once; and for each packet that it sends libssh asks
// for 40 KiB of zeros, which jemalloc, unless it keeps blocks of that size for the thread, takes from the
// kernel anew.
constexpr const char* kAllocator = "MALLOC_CONF=narenas:1,lg_tcache_max:16,dirty_decay_ms:0,muzzy_decay_ms:0";
constexpr int kAbove = 10;  // kClientDescriptor and kServerDescriptor

}  // namespace

pid_t start_process(const std::vector<std::string>& command, const Descriptor& connection,
                    const Descriptor& conversation) {
  // Away from 3 and 4, onto which they are put one after the other.
  const Descriptor high_connection(::fcntl(connection.get(), F_DUPFD_CLOEXEC, kAbove));
  const Descriptor high_conversation(::fcntl(conversation.get(), F_DUPFD_CLOEXEC, kAbove));
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::array<char*, 2> environment{const_cast<char*>(kAllocator), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, 0, 1);
  ::posix_spawn_file_actions_adddup2(&actions, high_connection.get(), kClientDescriptor);
  ::posix_spawn_file_actions_adddup2(&actions, high_conversation.get(), kServerDescriptor);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kServerDescriptor + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                             POSIX_SPAWN_SETPGROUP));
  pid_t process = -1;
  if (::posix_spawn(&process, command.front().c_str(), &actions, &attributes, arguments.data(),
                    environment.data()) != 0)
    process = -1;
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  return process;
}

}  // namespace merlon::ssh
