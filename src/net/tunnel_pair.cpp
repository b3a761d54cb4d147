// socketpair(2).
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/tunnel_pair.h"

namespace merlon::net {

Result<std::pair<int, int>> make_tunnel_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    return fail(ErrorKind::unavailable, "NoDescriptorLeft",
                std::string("A connection could not be made: ") + std::strerror(errno) + ".");
  return std::pair(ends[0], ends[1]);
}

}  // namespace merlon::net
