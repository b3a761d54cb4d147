// The kernel's table of tracked connections, as far as the firewall needs to reach into it.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace merlon::agent {

// Takes connections that carry this mark (within the bits of `mask`) out of the table: a mark that is given
// to a new opening must not bring back what an old one had let in.
Result<void> forget_connections(uint32_t mark, uint32_t mask);

}  // namespace merlon::agent
