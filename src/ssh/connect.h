// A TCP connection to a machine's SSH server, tried again while its door opens.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/ip.h"
#include "base/result.h"
#include "ssh/descriptor.h"

namespace merlon::ssh {

// Waits `within` at most. `machine` is for the message.
Result<Descriptor> connect_to(const IpAddress& address, uint16_t port, std::string_view machine,
                              Duration within, const Clock& clock);

}  // namespace merlon::ssh
