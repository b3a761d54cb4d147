// What the process of a connection gives up before it reads a byte from the network: file system, network,
// other processes, and every system call that it does not need.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace merlon::ssh {

// Returns what could not be had on this machine and is done without (namespaces, where an unprivileged server
// may not make them). An error: the filter itself could not be set, and nothing may go on.
Result<std::vector<std::string>> enter_sandbox();

}  // namespace merlon::ssh
