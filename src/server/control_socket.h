// Requests of whoever owns the machine that the server runs on, beside every API and identity:
// DIR/control.sock. It takes what nothing else can: the passphrase of a server that is still sealed. Only
// root and the server's own user are heard (SO_PEERCRED); a request is small, comes whole within five
// seconds, and they are answered one by one.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"

namespace merlon::server {

struct ControlRequest {
  std::string action;   // "unseal"
  std::string subject;  // what it is about: a place; may be empty
  Secret secret;        // may be empty
  unsigned user = 0;    // filled in from the kernel's word
};

using ControlHandler = std::function<Result<JsonObject>(const ControlRequest&)>;

class ControlSocket {
 public:
  static Result<std::unique_ptr<ControlSocket>> listen(const std::string& state_dir);
  virtual ~ControlSocket() = default;

  // Hears requests until `finished` says so (0) or a signal is readable on `signals`, a signalfd(2): its
  // number. `finished` is asked after each request.
  virtual int serve(int signals, const ControlHandler& handler, const std::function<bool()>& finished) = 0;
};

// The client's side: what the server at `state_dir` answers.
Result<JsonObject> ask_server(const std::string& state_dir, const ControlRequest& request);

}  // namespace merlon::server
