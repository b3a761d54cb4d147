// The kernel's socket lists, read with sock_diag(7).
#include "agent/firewall_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <tuple>

namespace merlon::agent {
namespace {

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

IpAddress to_address(uint8_t family, const __be32* words) {
  if (family == AF_INET) return IpAddress::from_v4(ntohl(words[0]));
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), words, bytes.size());
  return IpAddress::from_v6(bytes);
}

struct Reading {
  machine::Protocol protocol;
  Sockets* sockets;
};

int on_message(const nlmsghdr* message, void* data) {
  const Reading reading = *static_cast<Reading*>(data);
  if (mnl_nlmsg_get_payload_len(message) < sizeof(inet_diag_msg)) return MNL_CB_OK;
  const auto* said = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(message));
  const IpAddress local = to_address(said->idiag_family, said->id.idiag_src);
  const IpAddress peer = to_address(said->idiag_family, said->id.idiag_dst);
  if (local.is_loopback() || peer.is_loopback()) return MNL_CB_OK;
  const uint16_t local_port = ntohs(said->id.idiag_sport);
  const uint16_t peer_port = ntohs(said->id.idiag_dport);
  if (peer_port == 0) {
    if (local_port != 0) reading.sockets->listening.push_back({reading.protocol, local, local_port});
  } else if (reading.protocol == machine::Protocol::tcp) {
    reading.sockets->connected.push_back({local, peer, local_port, peer_port});
  }
  return MNL_CB_OK;
}

Result<void> read_list(mnl_socket* socket, uint8_t family, machine::Protocol protocol, Sockets& out) {
  const bool tcp = protocol == machine::Protocol::tcp;
  alignas(nlmsghdr) std::array<char, 32 * 1024> buffer{};
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message->nlmsg_seq = 1;
  auto* request =
      static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(message, sizeof(inet_diag_req_v2)));
  request->sdiag_family = family;
  request->sdiag_protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
  // Sockets of UDP that wait for anybody are "closed".
  request->idiag_states = tcp ? (1U << TCP_ESTABLISHED) | (1U << TCP_LISTEN) | (1U << TCP_CLOSE_WAIT) |
                                    (1U << TCP_FIN_WAIT1) | (1U << TCP_FIN_WAIT2)
                              : 1U << TCP_CLOSE;
  if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
    return internal_error(std::string("asking for sockets: ") + std::strerror(errno));
  Reading reading{protocol, &out};
  while (true) {
    const ssize_t size = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    const int said = size <= 0 ? -1
                               : mnl_cb_run(buffer.data(), static_cast<size_t>(size), 1,
                                            mnl_socket_get_portid(socket), on_message, &reading);
    if (said < 0) return internal_error(std::string("reading the list of sockets: ") + std::strerror(errno));
    if (said == MNL_CB_STOP) return {};
  }
}

}  // namespace

Result<Sockets> list_sockets() {
  const std::unique_ptr<mnl_socket, Close> socket(mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    return internal_error(std::string("opening the list of sockets: ") + std::strerror(errno));
  Sockets sockets;
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    TRY(read_list(socket.get(), family, machine::Protocol::tcp, sockets));
    // A kernel without udp_diag has no such list; that of TCP is what sessions are in.
    std::ignore = read_list(socket.get(), family, machine::Protocol::udp, sockets);
  }
  std::sort(sockets.listening.begin(), sockets.listening.end());
  sockets.listening.erase(std::unique(sockets.listening.begin(), sockets.listening.end()),
                          sockets.listening.end());
  std::sort(sockets.connected.begin(), sockets.connected.end());
  return sockets;
}

}  // namespace merlon::agent
