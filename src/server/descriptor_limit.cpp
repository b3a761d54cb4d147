// See descriptor_limit.h.
#include "server/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace merlon::server {
namespace {

constexpr size_t kOwn = 256;       // the store's, the listeners', connections to others
constexpr size_t kUnknown = 1024;  // what Linux gives a process that nobody gave more

}  // namespace

size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kUnknown;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return limit.rlim_cur;
  log(LogLevel::warning, "the limit of open descriptors could not be raised",
      {{"cause", std::strerror(errno)}});
  return before;
}

net::ServerLimits limits_within(size_t descriptors) {
  net::ServerLimits limits;
  // On a very tight limit half of it is the store's: a server without a connection would be none.
  const size_t own = std::min(kOwn, descriptors / 2);
  limits.connections_max = std::clamp<size_t>(descriptors - own, 1, limits.connections_max);
  return limits;
}

}  // namespace merlon::server
