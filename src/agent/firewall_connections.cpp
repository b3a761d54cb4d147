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

namespace merlon::agent {
namespace {

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

std::unexpected<Error> failed(std::string_view what) {
  return fail(ErrorKind::internal, "ConnectionTableUnavailable",
              "The kernel's table of connections could not be " + std::string(what) + ": " +
                  std::strerror(errno) + ". Check that it has nf_conntrack_netlink.");
}

}  // namespace

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
