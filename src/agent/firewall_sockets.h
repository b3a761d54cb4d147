// Who listens on this machine and who is connected: for the report of audit mode, and so that the first
// enforcement keeps the sessions that are older than connection tracking.
#pragma once

#include <cstdint>
#include <vector>

#include "machine/desired_state.h"

namespace merlon::agent {

struct ListeningSocket {
  machine::Protocol protocol = machine::Protocol::tcp;
  IpAddress address;
  uint16_t port = 0;
  auto operator<=>(const ListeningSocket&) const = default;
};

struct ConnectedSocket {  // TCP
  IpAddress local, peer;
  uint16_t local_port = 0, peer_port = 0;
  auto operator<=>(const ConnectedSocket&) const = default;
};

struct Sockets {
  std::vector<ListeningSocket> listening;
  std::vector<ConnectedSocket> connected;
};

// Of this network namespace, without those of the loopback interface.
Result<Sockets> list_sockets();

}  // namespace merlon::agent
