// No core has memory in it, and what is freed is wiped.
#include "server/private_memory.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "crypto/freed_memory.h"

namespace merlon::server {
namespace {

// Before PR_SET_DUMPABLE, after which the file belongs to root.
bool dump_no_memory() {
  const int file = ::open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = ::write(file, "0", 1) == 1;
  ::close(file);
  return written;
}

}  // namespace

void keep_memory_private() {
  const auto failed = [](const char* what) {
    log(LogLevel::warning, "the server's memory is not kept as private as it could be",
        {{"what", what}, {"cause", std::strerror(errno)}});
  };
  if (!crypto::wipe_what_is_freed()) failed("OpenSSL was used before");
  if (!dump_no_memory()) failed("/proc/self/coredump_filter");
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) failed("RLIMIT_CORE");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) failed("PR_SET_DUMPABLE");
}

}  // namespace merlon::server
