// Whose socket is at the other end of a connection that began on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/ip.h"

namespace merlon::net {

// The user of the socket that is bound to `from` and connected to `to`, where it meant to go; IPv4. Nothing
// when it is closed by now, or in another network namespace, or the kernel does not tell. Good for keeping
// accounts apart, and for no decision about access: it is asked after the connection began.
std::optional<uint32_t> socket_owner(const std::pair<IpAddress, uint16_t>& from,
                                     const std::pair<IpAddress, uint16_t>& to);

}  // namespace merlon::net
