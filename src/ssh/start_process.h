// Starting the process of a connection, or of a session's end towards a machine: the edge's own program anew,
// with two descriptors and nothing else of the server's.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "ssh/descriptor.h"

namespace merlon::ssh {

// `connection` becomes kClientDescriptor there, `conversation` kServerDescriptor (session_process.h). Less
// than 0 when it cannot be started.
pid_t start_process(const std::vector<std::string>& command, const Descriptor& connection,
                    const Descriptor& conversation);

}  // namespace merlon::ssh
