// Namespaces and an empty root, an unprivileged user, limits, and a list of the system calls that remain
// (seccomp). io_uring is not on it: it would go around the others.
#include "ssh/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define MERLON_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MERLON_SANITIZED 1
#endif
#endif

namespace merlon::ssh {
namespace {

constexpr unsigned kNobody = 65534;
[[maybe_unused]] constexpr rlim_t kMemoryBytesMax = rlim_t{512} * 1024 * 1024;
constexpr rlim_t kDescriptorsMax = 128;

// What libssh, OpenSSL, the allocator and our own loop call once everything is set up.
constexpr std::array kCalls = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(shutdown),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname),
    SCMP_SYS(lseek),
    SCMP_SYS(sched_yield),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(sched_getaffinity),
};

std::string why(std::string_view what) { return std::string(what) + ": " + std::strerror(errno); }

bool write_file(const char* path, const std::string& text) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool good = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(file);
  return good;
}

bool become_nobody_here(std::vector<std::string>& missing) {
  const unsigned user = ::geteuid();
  const unsigned group = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) {
    missing.push_back(why("a user namespace"));
    return false;
  }
  // Before the map: otherwise the kernel takes none of groups (user_namespaces(7)).
  if (write_file("/proc/self/setgroups", "deny") &&
      write_file("/proc/self/uid_map", "65534 " + std::to_string(user) + " 1") &&
      write_file("/proc/self/gid_map", "65534 " + std::to_string(group) + " 1"))
    return true;
  missing.push_back(why("the user namespace's map"));
  return false;
}

void leave_the_file_system(std::vector<std::string>& missing) {
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
    missing.push_back(why("namespaces"));
    return;
  }
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", "/proc", "tmpfs", flags, "size=4k,mode=0555") != 0 || ::chroot("/proc") != 0 ||
      ::chdir("/") != 0)
    missing.push_back(why("an empty root"));
}

Result<void> drop_user(bool was_root) {
  if (was_root && (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
                   ::setresuid(kNobody, kNobody, kNobody) != 0))
    return internal_error(why("the user could not be changed"));
  // Whatever is left of capabilities goes: ours in a user namespace, too.
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return internal_error(why("capabilities"));
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return {};
}

Result<void> limit_resources() {
  const auto set = [](__rlimit_resource_t what, rlim_t most) {
    const rlimit limit{most, most};
    return ::setrlimit(what, &limit) == 0;
  };
  bool good = set(RLIMIT_CORE, 0) && set(RLIMIT_FSIZE, 0) && set(RLIMIT_NOFILE, kDescriptorsMax) &&
              set(RLIMIT_NPROC, 0);
#ifndef MERLON_SANITIZED
  good = good && set(RLIMIT_AS, kMemoryBytesMax);
#endif
  if (!good) return internal_error(why("limits"));
  return {};
}

Result<void> filter_calls() {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) return internal_error("the filter of system calls could not be made");
  bool good = true;
  for (const int call : kCalls) good = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0 && good;
  // Memory that can be written cannot be run.
  const scmp_arg_cmp no_exec{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
    good = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, no_exec) == 0 && good;
  const scmp_arg_cmp local{0, SCMP_CMP_EQ, AF_UNIX, 0};
  good = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, local) == 0 && good;
  for (const scmp_datum_t command : {F_GETFL, F_SETFL, F_GETFD, F_SETFD})
    good = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                              scmp_arg_cmp{1, SCMP_CMP_EQ, command, 0}) == 0 &&
           good;
  for (const scmp_datum_t request : {FIONREAD, FIONBIO})
    good = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                              scmp_arg_cmp{1, SCMP_CMP_EQ, request, 0}) == 0 &&
           good;
#ifdef MERLON_SANITIZED
  // How the sanitizers of the tests' build find out whether memory can be read.
  for (const int call : {SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(process_vm_readv)})
    good = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0 && good;
#endif
  good = ::seccomp_load(filter) == 0 && good;
  ::seccomp_release(filter);
  if (!good) return internal_error("the filter of system calls could not be set");
  return {};
}

}  // namespace

Result<std::vector<std::string>> enter_sandbox() {
  std::vector<std::string> missing;
  const bool is_root = ::geteuid() == 0;
  if (is_root || become_nobody_here(missing)) leave_the_file_system(missing);
  TRY(limit_resources());
  TRY(drop_user(is_root));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return internal_error(why("no_new_privs"));
  TRY(filter_calls());
  return missing;
}

}  // namespace merlon::ssh
