// The head of a packet, as the kernel logs it: who to whom.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/ip.h"

namespace merlon::agent {

struct FlowKey {
  uint8_t protocol = 0;  // IANA number
  IpAddress source, destination;
  uint16_t source_port = 0, destination_port = 0;
  auto operator<=>(const FlowKey&) const = default;
};

// From the IP header on, perhaps cut. Nothing for what is no whole head: a later fragment has no ports.
std::optional<FlowKey> read_packet_head(ByteView packet);

}  // namespace merlon::agent
