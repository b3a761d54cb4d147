// The kernel's table of tracked connections, as far as the firewall needs to reach into it.
#pragma once

#include <cstdint>
#include <functional>

#include "agent/logged_packet.h"
#include "base/result.h"

namespace merlon::agent {

// Takes connections that carry this mark (within the bits of `mask`) out of the table: a mark that is given
// to a new opening must not bring back what an old one had let in.
Result<void> forget_connections(uint32_t mark, uint32_t mask);

// Which connections are meant, by both directions as they are tracked.
using WhichConnections = std::function<bool(const FlowKey& original, const FlowKey& reply)>;
// Takes these connections out of the table: their next packets are judged as new ones, and of TCP stopped
// (kernel.md, "Established connections"). How many.
Result<size_t> forget_connections(const WhichConnections& which);

}  // namespace merlon::agent
