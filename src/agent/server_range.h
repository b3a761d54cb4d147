// Where the machine's owner says that servers are, beside the one that it was enrolled with: those of one
// name that lead sessions to each other's machines (machine/left_call.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace merlon::agent {

struct ServerRange {  // "192.0.2.0/24:8443", "192.0.2.10:8443", "[2001:db8::/64]:8443"
  IpPrefix network;
  uint16_t port = 0;
  bool operator==(const ServerRange&) const = default;
  std::string text() const;
  static std::optional<ServerRange> parse(std::string_view text);
};

}  // namespace merlon::agent
