// Ways to machines through their agents (call.h): those that ask this server for news, and, where it has an
// address of its own that agents reach, those that ask another one on the same database.
#pragma once

#include <expected>

#include "machine/call.h"
#include "machine/machines.h"
#include "net/http.h"
#include "net/tunnel.h"

namespace merlon::machine {

class Reach {
 public:
  virtual ~Reach() = default;
  // Where its agent is seen; nothing before it has asked for news.
  virtual std::optional<IpAddress> seen_from(const Machine& machine) = 0;
  // Its agent is seen at an address that the machine does not have, so that those that it has lead nowhere
  // from here.
  virtual bool is_behind_translation(const Machine& machine) = 0;
  // Where agents call this server. Once, before anybody is reached.
  virtual void advertise(const ServerAddress& server) = 0;
  // A connected stream socket, the caller's, that the machine's agent carries on to a port of the machine.
  // Waits, from a worker.
  virtual Result<int> reach(const Machine& machine, const IpAddress& address, uint16_t port) = 0;
  // The agent's end of it: a request for a WebSocket on the agents plane.
  virtual std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request) = 0;
};

// `machines` must be what Machines::open() has made.
Reach& reach_of(Machines& machines);

}  // namespace merlon::machine
