// RFC 791 section 3.1 and RFC 8200 sections 3 and 4.
#include "agent/logged_packet.h"

#include <algorithm>
#include <array>

namespace merlon::agent {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kSctp = 132, kUdpLite = 136;
constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
constexpr size_t kIpv4Least = 20, kIpv6Head = 40;
constexpr int kExtensionsMax = 8;

uint16_t number16(ByteView bytes, size_t at) {
  return static_cast<uint16_t>((bytes[at] << 8) | bytes[at + 1]);
}

bool read_ports(ByteView transport, FlowKey& key) {
  if (key.protocol != kTcp && key.protocol != kUdp && key.protocol != kSctp && key.protocol != kUdpLite)
    return true;
  if (transport.size() < 4) return false;
  key.source_port = number16(transport, 0);
  key.destination_port = number16(transport, 2);
  return true;
}

IpAddress address4(ByteView bytes, size_t at) {
  return IpAddress::from_v4((uint32_t{bytes[at]} << 24) | (uint32_t{bytes[at + 1]} << 16) |
                            (uint32_t{bytes[at + 2]} << 8) | bytes[at + 3]);
}

IpAddress address6(ByteView bytes, size_t at) {
  std::array<uint8_t, 16> address{};
  std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at), address.size(), address.begin());
  return IpAddress::from_v6(address);
}

std::optional<FlowKey> read4(ByteView packet) {
  const size_t head = static_cast<size_t>(packet[0] & 0x0fU) * 4;
  if (packet.size() < kIpv4Least || head < kIpv4Least || packet.size() < head) return std::nullopt;
  if ((number16(packet, 6) & 0x1fffU) != 0) return std::nullopt;  // a later fragment
  FlowKey key{.protocol = packet[9], .source = address4(packet, 12), .destination = address4(packet, 16)};
  if (!read_ports(packet.subspan(head), key)) return std::nullopt;
  return key;
}

std::optional<FlowKey> read6(ByteView packet) {
  if (packet.size() < kIpv6Head) return std::nullopt;
  FlowKey key{.protocol = packet[6], .source = address6(packet, 8), .destination = address6(packet, 24)};
  // Mapped addresses are of no packet on a wire (RFC 4291 section 2.5.5.2).
  if (key.source.is_v4() || key.destination.is_v4()) return std::nullopt;
  ByteView rest = packet.subspan(kIpv6Head);
  for (int i = 0; i < kExtensionsMax; ++i) {
    const bool is_extension = key.protocol == kHopByHop || key.protocol == kRouting ||
                              key.protocol == kFragment || key.protocol == kDestination;
    if (!is_extension) {
      if (!read_ports(rest, key)) return std::nullopt;
      return key;
    }
    if (rest.size() < 8) return std::nullopt;
    if (key.protocol == kFragment && (number16(rest, 2) & 0xfff8U) != 0) return std::nullopt;
    const size_t length = key.protocol == kFragment ? 8 : (size_t{rest[1]} + 1) * 8;
    if (rest.size() < length) return std::nullopt;
    key.protocol = rest[0];
    rest = rest.subspan(length);
  }
  return std::nullopt;
}

}  // namespace

std::optional<FlowKey> read_packet_head(ByteView packet) {
  if (packet.empty()) return std::nullopt;
  if (packet[0] >> 4 == 4) return read4(packet);
  if (packet[0] >> 4 == 6) return read6(packet);
  return std::nullopt;
}

}  // namespace merlon::agent
