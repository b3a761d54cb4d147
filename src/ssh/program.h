// What the edge starts for a connection, or for a session's end towards a machine: a process with two
// descriptors and nothing else of the server's. Each is started anew, so that no two have their memory at the
// same addresses.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "ssh/descriptor.h"

namespace merlon::ssh {

class Program {
 public:
  // Its path, and what stands behind it.
  explicit Program(std::vector<std::string> command) : command_(std::move(command)) {}
  // `image`: a program that this one carries, and that is started in the other's place. It is kept in memory
  // without a name (memfd_create(2)), which nobody can write to any more. Where the machine starts nothing
  // from there, it remains with the command. The image's process closes every descriptor but the two.
  Program(std::vector<std::string> command, std::string_view image);

  // `connection` becomes kClientDescriptor there, `conversation` kServerDescriptor (session_process.h). Less
  // than 0 when it cannot be started.
  pid_t start(const Descriptor& connection, const Descriptor& conversation) const;

 private:
  std::vector<std::string> command_;
  Descriptor image_;
};

}  // namespace merlon::ssh
