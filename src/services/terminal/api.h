// Pages at each bastion's own name, https://<bastion>.bastion.<domain>/: a terminal in the browser, files,
// and recordings, for whoever has signed in (docs/bastion-browser.md). What somebody may do is asked of the
// rooms below: sessions go through the bastion's gate and are recorded as those of plain SSH clients are;
// recordings are read through the Resource Manager.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "machine/platform.h"
#include "net/tunnel.h"
#include "services/bastion/api.h"
#include "ssh/desk.h"

namespace merlon::terminal {

class Terminal {
 public:
  virtual ~Terminal() = default;

  // Requests to a bastion's name that are for its pages, and those for a WebSocket. Block on the store.
  virtual bool handles(const net::Request& request) const = 0;
  virtual net::Response handle(const net::Request& request) = 0;
  virtual std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request) = 0;

  // Who runs sessions (ssh::Edge::serve). Until there is somebody, none begins. Set before the first request.
  using Connect = std::function<Result<int>(std::shared_ptr<ssh::Person> person, const ssh::Destination& to,
                                            const ssh::Source& source)>;
  virtual void connect_with(Connect connect) = 0;

  // Forgets web sessions that are over. Every few seconds.
  virtual Result<void> tick() = 0;
};

struct TerminalParts {
  Platform& platform;
  bastion::Bastion& bastion;
  // The protocol faces of identity: a request as a client would send it.
  std::function<std::optional<net::Response>(const net::Request& request, const std::string& origin)> sign_in;
};

std::unique_ptr<Terminal> install(TerminalParts parts);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::terminal
