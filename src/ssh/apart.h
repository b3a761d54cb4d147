// A session's end towards a machine that is signed in to by a secret, in a process of its own (decision
// 0052). The process of the person's connection reads what the person sends, and is taken for hostile; it
// gets no secret. In between stands this one: it connects, recognises the machine, is given the secret, signs
// in, forgets the secret, and only then reads what comes from the person's side, SSH without a sign-in.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "ssh/desk.h"
#include "ssh/program.h"

namespace merlon::ssh {

class Apart {
 public:
  struct Task {
    Descriptor socket;                   // to the machine's SSH server
    std::vector<std::string> host_keys;  // it must show one of them
    std::string machine, login;
    std::function<Result<MachineSecret>()> secret;  // asked once it has
  };
  // Waits until the machine has said yes or no. Errors are for the person, and say nothing that the machine
  // has said after it was told the secret.
  static Result<std::unique_ptr<Apart>> sign_in(const Program& program, Task task, const Clock& clock);
  ~Apart();  // ends the process
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;

  // Where SSH goes on, and the host key that is shown there.
  Descriptor take_socket() { return std::move(socket_); }
  const std::string& host_key() const { return host_key_; }

 private:
  Apart() = default;
  pid_t process_ = -1;
  Descriptor conversation_, socket_;
  std::string host_key_;  // a line
};

}  // namespace merlon::ssh
