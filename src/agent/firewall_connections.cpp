// ctnetlink, read and written with libmnl.
#include "agent/firewall_connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "agent/firewall_tuples.h"
#include "base/bytes.h"

namespace merlon::agent {
namespace {

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

constexpr size_t kForgottenMax = 65'536;  // at a time

std::unexpected<Error> failed(std::string_view what) {
  return fail(ErrorKind::internal, "ConnectionTableUnavailable",
              "The kernel's table of connections could not be " + std::string(what) + ": " +
                  std::strerror(errno) + ". Check that it has nf_conntrack_netlink.");
}

using Socket = std::unique_ptr<mnl_socket, Close>;

Result<Socket> open_table() {
  Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return failed("opened");
  return socket;
}

nlmsghdr* put_request(char* buffer, uint16_t type, uint16_t flags, uint8_t family) {
  nlmsghdr* message = mnl_nlmsg_put_header(buffer);
  message->nlmsg_type = static_cast<uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | type);
  message->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  message->nlmsg_seq = 1;
  auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  header->nfgen_family = family;
  header->version = NFNETLINK_V0;
  return message;
}

// What names a connection to the kernel: its family, and these attributes as they came.
struct Named {
  uint8_t family = AF_UNSPEC;
  std::vector<std::pair<uint16_t, Bytes>> attributes;
};

struct Looking {
  const WhichConnections* which;
  std::vector<Named>* found;
};

int on_connection(const nlmsghdr* message, void* data) {
  const auto& looking = *static_cast<Looking*>(data);
  std::optional<FlowKey> original;
  std::optional<FlowKey> reply;
  Named named;
  named.family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family;
  each_attribute(mnl_nlmsg_get_payload_offset(message, sizeof(nfgenmsg)), mnl_nlmsg_get_payload_tail(message),
                 [&](const nlattr& attribute) {
                   const uint16_t type = mnl_attr_get_type(&attribute);
                   if (type == CTA_TUPLE_ORIG) original = tuple_of(attribute);
                   if (type == CTA_TUPLE_REPLY) reply = tuple_of(attribute);
                   // The id too: nobody else's connection is meant that has taken its place.
                   if (type == CTA_TUPLE_ORIG || type == CTA_ID || type == CTA_ZONE) {
                     const ByteView bytes = bytes_of(attribute);
                     named.attributes.emplace_back(type, Bytes(bytes.begin(), bytes.end()));
                   }
                 });
  if (original && reply && looking.found->size() < kForgottenMax && (*looking.which)(*original, *reply))
    looking.found->push_back(std::move(named));
  return MNL_CB_OK;
}

}  // namespace

Result<size_t> forget_connections(const WhichConnections& which) {
  std::vector<Named> found;
  alignas(nlmsghdr) std::array<char, 64 * 1024> buffer{};
  {
    const Socket socket = TRY(open_table());
    const nlmsghdr* message = put_request(buffer.data(), IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
    if (mnl_socket_sendto(socket.get(), message, message->nlmsg_len) < 0) return failed("asked");
    Looking looking{&which, &found};
    int more = MNL_CB_OK;
    while (more == MNL_CB_OK) {
      const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
      if (size < 0) return failed("read");
      more = mnl_cb_run(buffer.data(), static_cast<size_t>(size), 1, mnl_socket_get_portid(socket.get()),
                        on_connection, &looking);
      if (more < 0) return failed("read");
    }
  }
  const Socket socket = TRY(open_table());
  size_t forgotten = 0;
  for (const Named& each : found) {
    nlmsghdr* message = put_request(buffer.data(), IPCTNL_MSG_CT_DELETE, NLM_F_ACK, each.family);
    for (const auto& [type, bytes] : each.attributes)
      mnl_attr_put(message, static_cast<uint16_t>(type | (type == CTA_TUPLE_ORIG ? NLA_F_NESTED : 0)),
                   bytes.size(), bytes.data());
    if (mnl_socket_sendto(socket.get(), message, message->nlmsg_len) < 0) return failed("asked");
    const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    // One that has ended meanwhile is not there, and that is as well.
    if (size > 0 && mnl_cb_run(buffer.data(), static_cast<size_t>(size), 1,
                               mnl_socket_get_portid(socket.get()), nullptr, nullptr) >= 0)
      ++forgotten;
  }
  return forgotten;
}

Result<void> forget_connections(uint32_t mark, uint32_t mask) {
  // Without a mark the same message means: forget all.
  if (mark == 0 || (mark & mask) != mark) return internal_error("no mark to forget connections by");
  const std::unique_ptr<mnl_socket, Close> socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return failed("opened");
  alignas(nlmsghdr) std::array<char, 8192> buffer{};
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  message->nlmsg_seq = 1;
  auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  header->nfgen_family = AF_UNSPEC;
  header->version = NFNETLINK_V0;
  mnl_attr_put_u32(message, CTA_MARK, htonl(mark));
  mnl_attr_put_u32(message, CTA_MARK_MASK, htonl(mask));
  if (mnl_socket_sendto(socket.get(), message, message->nlmsg_len) < 0) return failed("asked");
  const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
  if (size <= 0 || mnl_cb_run(buffer.data(), static_cast<size_t>(size), 1,
                              mnl_socket_get_portid(socket.get()), nullptr, nullptr) < 0)
    return failed("cleared of an old mark");
  return {};
}

}  // namespace merlon::agent
