// The agent's commands, on the machine that is protected. It protects the network namespace that it runs in.
#pragma once

#include <string>

#include "machine/messages.h"

namespace merlon::agent {

struct EnrolOptions {
  std::string server_url;  // https://host[:port]
  std::string ca_file;
  std::string token;
  std::string state_dir;
  bool ssh = false;  // sshd is to trust the server's authority
};
// Makes a key, shows the token, and keeps what the server answers. Refuses a directory that is enrolled
// already.
Result<machine::EnrolAnswer> enrol(const EnrolOptions& options);

struct RunOptions {
  std::string state_dir;
};
// Blocks until SIGTERM or SIGINT, or until the machine was removed from Merlon. The kernel's rules stay in
// place.
Result<void> run(const RunOptions& options);

// Whether sshd is to let in whom the server certifies (local.json, "ssh"): the running agent follows within
// seconds; what is turned off is off at once, also without one. Answers what stands against it; empty:
// nothing.
Result<std::string> allow_ssh(const std::string& state_dir, bool allowed);

// Local root: opens the machine, stops repair. Recorded in the state directory, reported at the next contact.
Result<void> release(const std::string& state_dir);

// At boot: the last confirmed rules without any opening; else nothing but the platform rules. Needs neither
// server nor network. A machine that was released before this boot stays so; by hand, in the boot that it was
// released in, this protects it again.
Result<void> restore(const std::string& state_dir);

}  // namespace merlon::agent
