// What the edge for plain SSH clients asks (ssh/desk.h), answered by the bastion: people by their
// certificates, keys and device codes; ways in by the gate; sessions recorded on a tape.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/http.h"
#include "services/bastion/api.h"
#include "services/credential/api.h"
#include "services/ssh/api.h"
#include "services/ssh_edge/api.h"
#include "ssh/desk.h"

namespace merlon::ssh_edge {

// Where a session is recorded. Errors: it cannot be written.
class Tape {
 public:
  virtual ~Tape() = default;
  virtual Result<void> output(std::string_view bytes) = 0;
  virtual Result<void> input(std::string_view bytes) = 0;
  virtual Result<void> resize(int64_t columns, int64_t rows) = 0;
  virtual Result<void> fact(std::string_view kind, JsonObject facts) = 0;
  virtual Duration wait() const = 0;  // until it should be told more
  // Called once, from another thread, when it can be written no further.
  virtual void on_failure(std::function<void(const Error&)> tell) = 0;
  virtual void close(std::string_view reason, std::optional<int> exit_status) = 0;
};

struct DeskParts {
  const resource::Core& core;
  bastion::Bastion& bastion;
  ssh_identity::SshIdentities& identities;
  credential::MachineCredentials& credentials;
  machine::Machines& machines;
  // The protocol faces of identity, for device codes: a request as a client would send it.
  std::function<std::optional<net::Response>(const net::Request&, const std::string& origin)> sign_in;
  // A tape for what was admitted.
  std::function<Result<std::unique_ptr<Tape>>(const identity::Principal&, const bastion::Admission&)> record;
  std::string origin;  // "https://merlon.example.org:8443": where people open the page for a code
};

std::unique_ptr<ssh::Desk> make_desk(DeskParts parts);

}  // namespace merlon::ssh_edge
