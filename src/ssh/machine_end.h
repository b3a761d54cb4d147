// The session towards the machine: an SSH client on a connection that the server has made, with a certificate
// of minutes or a secret, to a host whose key is known.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "ssh/desk.h"
#include "ssh/libssh_handles.h"

namespace merlon::ssh {

class MachineEnd {
 public:
  // `admitted` is the server's answer: "hostKeys", "machine", and "privateKey" with "certificate", or
  // "isSignedIn": another process of the server's is at the socket, which has signed in (apart.h). Errors are
  // for the person.
  static Result<MachineEnd> open(Descriptor socket, const JsonObject& admitted, const std::string& login);
  // Connected and recognised, and nothing more: for who signs in by a secret.
  static Result<MachineEnd> recognise(Descriptor socket, const JsonObject& admitted,
                                      const std::string& login);
  Result<void> sign_in(const MachineSecret& secret, const std::string& machine, const std::string& login);
  MachineEnd(MachineEnd&&) = default;
  MachineEnd& operator=(MachineEnd&&) = default;
  ~MachineEnd();

  ssh_session session() const { return session_.get(); }
  bool is_alive() const { return session_ && ssh::is_alive(session_.get()); }
  // Reads what has come, whether or not a channel is read from: after a channel's last byte there are still
  // its exit status, its close and room for what goes there. Never waits.
  void step();
  // Waits for the machine, within its time. Nothing when it says no.
  ssh_channel open_session();
  ssh_channel open_forward(const std::string& host, uint16_t port);
  // While it lives, requests wait for their answer.
  class Waiting {
   public:
    explicit Waiting(const MachineEnd& end) : session_(end.session()) { ssh_set_blocking(session_, 1); }
    ~Waiting() { ssh_set_blocking(session_, 0); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    ssh_session session_;
  };

 private:
  explicit MachineEnd(SessionHandle session) : session_(std::move(session)) {}
  SessionHandle session_;
};

}  // namespace merlon::ssh
