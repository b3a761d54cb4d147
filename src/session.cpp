// The program of one SSH connection, which `merlon` carries in itself and starts for each (ssh/program.h):
// the room ssh alone, so that each of many processes has no more of its own than it needs. What it reads
// others have sent, so that libssh and OpenSSL are the machine's, which are mended without this program.
#include <fmt/format-inl.h>  // compiled in: its library would bring the C++ library's
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "crypto/freed_memory.h"
#include "ssh/session_process.h"

// What the library has instantiated (its src/format.cc).
template FMT_API fmt::detail::thousands_sep_result<char> fmt::detail::thousands_sep_impl<char>(locale_ref);
template FMT_API char fmt::detail::decimal_point_impl<char>(locale_ref);

namespace {
constexpr int kKept = 1024 * 1024;
}  // namespace

int main() {
  // This program's own file, where it was started from.
  ::closefrom(merlon::ssh::kServerDescriptor + 1);
  ::prctl(PR_SET_NAME, merlon::ssh::kSessionCommand, 0, 0, 0);
  // Buffers of a transfer come and go with each packet: not to the kernel and back (mallopt(3)). What an idle
  // session has freed is given back all the same.
  ::mallopt(M_MMAP_THRESHOLD, kKept);
  ::mallopt(M_TRIM_THRESHOLD, kKept);
  if (!merlon::crypto::wipe_what_is_freed()) return 1;
  return merlon::ssh::run_session_process();
}
