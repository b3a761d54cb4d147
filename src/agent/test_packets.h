// Packets made by hand for the kernel tests: one for each flow, with a number inside by which it is known
// again where it arrives, so that hundreds of flows are sent at once and none needs an answer.
#pragma once

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>
#include <set>
#include <tuple>

#include "agent/test_namespace.h"
#include "base/bytes.h"
#include "machine/desired_state.h"

namespace merlon::agent::testing {

using machine::Flow;
using machine::Protocol;

inline constexpr uint32_t kFirstMark = 0x4d000000;

inline uint8_t protocol_number(const Flow& flow) {
  switch (flow.protocol) {
    case Protocol::tcp:
      return 6;
    case Protocol::udp:
      return 17;
    case Protocol::icmp:
      return flow.source.is_v4() ? 1 : 58;
    case Protocol::esp:
      return 50;
    case Protocol::ah:
      return 51;
    case Protocol::any:
      break;
  }
  return 253;  // RFC 3692: for experiments
}

inline void put16(Bytes& out, size_t at, unsigned value) {
  out[at] = static_cast<uint8_t>(value >> 8);
  out[at + 1] = static_cast<uint8_t>(value);
}
inline void put32(Bytes& out, size_t at, uint32_t value) {
  put16(out, at, value >> 16);
  put16(out, at + 2, value & 0xffff);
}
inline uint32_t get32(ByteView bytes, size_t at) {
  return bytes.size() < at + 4
             ? 0
             : (static_cast<uint32_t>(bytes[at]) << 24) | (static_cast<uint32_t>(bytes[at + 1]) << 16) |
                   (static_cast<uint32_t>(bytes[at + 2]) << 8) | bytes[at + 3];
}
inline uint16_t checksum(ByteView bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i)
    sum += i % 2 == 0 ? static_cast<uint32_t>(bytes[i]) << 8 : bytes[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// The part above IP.
inline Bytes transport(const Flow& flow, uint32_t mark, uint8_t tcp_flags = 0x02) {
  Bytes out;
  size_t checksum_at = 0;
  switch (flow.protocol) {
    case Protocol::tcp:
      out.resize(20);
      put32(out, 4, mark);
      out[12] = 0x50;
      out[13] = tcp_flags;
      put16(out, 14, 1024);
      checksum_at = 16;
      break;
    case Protocol::udp:
      out.resize(12);
      put16(out, 4, 12);
      put32(out, 8, mark);
      checksum_at = 6;
      break;
    case Protocol::icmp:
      out.resize(8);
      out[0] = flow.source.is_v4() ? 8 : 128;  // echo request
      put16(out, 4, mark & 0xffff);
      put16(out, 6, mark >> 16);
      checksum_at = 2;
      break;
    case Protocol::ah:
      out.resize(24);
      out[0] = 59;  // no next header
      out[1] = 4;   // (24 / 4) - 2
      put32(out, 4, mark);
      return out;
    case Protocol::esp:
    case Protocol::any:
      out.resize(24);
      put32(out, 0, mark);
      return out;
  }
  if (flow.protocol != Protocol::icmp) {
    put16(out, 0, flow.source_port);
    put16(out, 2, flow.destination_port);
  }
  uint32_t pseudo = 0;
  if (flow.protocol != Protocol::icmp || !flow.source.is_v4()) {
    const size_t length = flow.source.bits() / 8;
    pseudo = static_cast<uint32_t>(out.size()) + protocol_number(flow);
    for (const IpAddress& address : {flow.source, flow.destination})
      for (size_t i = 0; i < length; i += 2)
        pseudo += (static_cast<uint32_t>(address.bytes()[i]) << 8) | address.bytes()[i + 1];
  }
  put16(out, checksum_at, checksum(out, pseudo));
  return out;
}

inline Bytes ip_packet(const Flow& flow, const Bytes& payload) {
  const bool v4 = flow.source.is_v4();
  Bytes out(v4 ? 20 : 40);
  const size_t length = v4 ? 4 : 16;
  if (v4) {
    out[0] = 0x45;
    put16(out, 2, static_cast<unsigned>(out.size() + payload.size()));
    out[8] = 64;
    out[9] = protocol_number(flow);
  } else {
    out[0] = 0x60;
    put16(out, 4, static_cast<unsigned>(payload.size()));
    out[6] = protocol_number(flow);
    out[7] = 64;
  }
  std::memcpy(&out[v4 ? 12 : 8], flow.source.bytes().data(), length);
  std::memcpy(&out[v4 ? 16 : 24], flow.destination.bytes().data(), length);
  if (v4) put16(out, 10, checksum(out));
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

// The number inside a transport part, when it is one of ours.
inline std::optional<uint32_t> mark_in(uint8_t protocol, ByteView payload) {
  uint32_t mark = 0;
  if (protocol == 6 && payload.size() >= 14 && payload[13] == 0x02) mark = get32(payload, 4);
  if (protocol == 17) mark = get32(payload, 8);
  if (payload.size() >= 8 && ((protocol == 1 && payload[0] == 8) || (protocol == 58 && payload[0] == 128)))
    mark = (get32(payload, 4) << 16) | (get32(payload, 4) >> 16);
  if (protocol == 50 || protocol == 253) mark = get32(payload, 0);
  if (protocol == 51) mark = get32(payload, 4);
  if ((mark & 0xff000000) != kFirstMark) return std::nullopt;
  return mark;
}

inline std::optional<uint32_t> mark_in_ip(ByteView packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4)
    return mark_in(packet[9], packet.subspan(static_cast<size_t>(packet[0] & 15) * 4));
  if (packet.size() >= 40 && packet[0] >> 4 == 6) return mark_in(packet[6], packet.subspan(40));
  return std::nullopt;
}

// Sends inbound flows from the peer, outbound ones from here, and says which arrived. Made in the machine's
// namespace.
class Cable {
 public:
  explicit Cable(const Peer& peer) {
    peer.there([this] {
      wire_ = open(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
      sockaddr_ll address{};
      address.sll_family = AF_PACKET;
      address.sll_protocol = htons(ETH_P_ALL);
      address.sll_ifindex = static_cast<int>(::if_nametoindex("p0"));
      ASSERT_EQ(::bind(wire_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    });
    send4_ = open(AF_INET, SOCK_RAW, IPPROTO_RAW);
    send6_ = open(AF_INET6, SOCK_RAW, IPPROTO_RAW);
    for (const int protocol : {1, 6, 17, 50, 51, 253}) receive4_.push_back(open(AF_INET, SOCK_RAW, protocol));
    for (const int protocol : {58, 6, 17, 50, 51, 253})
      receive6_.emplace_back(protocol, open(AF_INET6, SOCK_RAW, protocol));
  }
  ~Cable() {
    for (const int fd : all_) ::close(fd);
  }
  Cable(const Cable&) = delete;
  Cable& operator=(const Cable&) = delete;

  void send(const Flow& flow, uint32_t mark, uint8_t tcp_flags = 0x02) const {
    send_packet(flow, ip_packet(flow, transport(flow, mark, tcp_flags)));
  }

  void send_packet(const Flow& flow, const Bytes& packet) const {
    if (flow.inbound) {
      Bytes frame = {2, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0xfe, 0x08, 0x00};
      if (!flow.source.is_v4()) put16(frame, 12, ETH_P_IPV6);
      frame.insert(frame.end(), packet.begin(), packet.end());
      EXPECT_EQ(::send(wire_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    } else if (flow.source.is_v4()) {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      std::memcpy(&to.sin_addr, flow.destination.bytes().data(), 4);
      // A packet that the firewall drops on its way out is EPERM here.
      std::ignore = ::sendto(send4_, packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                             sizeof to);
    } else {
      sockaddr_in6 to{};
      to.sin6_family = AF_INET6;
      std::memcpy(&to.sin6_addr, flow.destination.bytes().data(), 16);
      std::ignore = ::sendto(send6_, packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                             sizeof to);
    }
  }

  // Waits until all of `awaited` have come (at most `wait_ms`), then tells all marks that came, and where.
  struct Arrived {
    std::set<uint32_t> inbound, outbound;
  };
  Arrived arrived(const std::set<uint32_t>& awaited, int wait_ms = 2000) const {
    Arrived got;
    for (int waited = 0; waited <= wait_ms; ++waited) {
      collect(got);
      bool all = true;
      for (const uint32_t mark : awaited)
        all = all && (got.inbound.contains(mark) || got.outbound.contains(mark));
      if (all) break;
      ::usleep(1000);
    }
    ::usleep(500);
    collect(got);
    return got;
  }

 private:
  int open(int family, int type, int protocol) {
    const int fd = ::socket(family, type | SOCK_CLOEXEC, protocol);
    EXPECT_GE(fd, 0) << family << " " << protocol << " " << std::strerror(errno);
    const int bytes = 8 * 1024 * 1024;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    all_.push_back(fd);
    return fd;
  }
  template <class Take>
  static void read_all(int fd, const Take& take) {
    uint8_t buffer[2048];
    while (true) {
      const ssize_t size = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (size <= 0) return;
      take(ByteView(buffer, static_cast<size_t>(size)));
    }
  }
  void collect(Arrived& got) const {
    const auto note = [](std::set<uint32_t>& marks, std::optional<uint32_t> mark) {
      if (mark) marks.insert(*mark);
    };
    // Frames from the machine, not those that we sent ourselves.
    read_all(wire_, [&](ByteView frame) {
      if (frame.size() > 14 && frame[11] == 4) note(got.outbound, mark_in_ip(frame.subspan(14)));
    });
    for (const int fd : receive4_)
      read_all(fd, [&](ByteView packet) { note(got.inbound, mark_in_ip(packet)); });
    for (const auto& [protocol, fd] : receive6_)
      read_all(
          fd, [&](ByteView payload) { note(got.inbound, mark_in(static_cast<uint8_t>(protocol), payload)); });
  }
  int wire_ = -1, send4_ = -1, send6_ = -1;
  std::vector<int> receive4_, all_;
  std::vector<std::pair<int, int>> receive6_;
};

}  // namespace merlon::agent::testing
