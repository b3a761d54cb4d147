// How many connections a server process may hold: each is a descriptor, and when the process has none left it
// is the store that fails. So the limit is raised as far as the system allows, and whoever exceeds it is
// refused at the door.
#pragma once

#include <cstddef>

#include "net/server.h"

namespace merlon::server {

// The soft limit becomes the hard one (setrlimit(2), RLIMIT_NOFILE). Answers what the limit is then.
size_t raise_descriptor_limit();

// The limits of a server that may have so many descriptors: a part of them stays for the store and for what
// the server itself opens.
net::ServerLimits limits_within(size_t descriptors);

}  // namespace merlon::server
