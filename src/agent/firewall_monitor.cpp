// The nftables event group, read with libmnl.
#include "agent/firewall_monitor.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace merlon::agent {
namespace {

constexpr std::string_view kOurTable = "merlon";
constexpr int kReceiveBufferBytes = 4 * 1024 * 1024;  // a large rule change is thousands of messages

struct Reading {
  FirewallMonitor::News* news;
  bool* batch_is_ours;
};

// The attribute that names the table is number 1 in the messages of tables, chains, rules, sets, elements and
// objects alike (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, ...).
std::string_view table_name(const nlmsghdr* message) {
  static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
                NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1 && NFTA_OBJ_TABLE == 1 &&
                NFTA_FLOWTABLE_TABLE == 1);
  // Written out, since libmnl's loop is a macro for C.
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
  const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(message, sizeof(nfgenmsg)));
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    if (mnl_attr_get_type(attribute) == 1 && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
      return mnl_attr_get_str(attribute);
    attribute = mnl_attr_next(attribute);
  }
  return {};
}

int on_message(const nlmsghdr* message, void* data) {
  const Reading reading = *static_cast<Reading*>(data);
  if ((message->nlmsg_type >> 8) != NFNL_SUBSYS_NFTABLES) return MNL_CB_OK;
  const auto type = static_cast<nf_tables_msg_types>(message->nlmsg_type & 0xff);
  if (type == NFT_MSG_NEWGEN) {
    ++(*reading.batch_is_ours ? reading.news->our_commits : reading.news->other_commits);
    *reading.batch_is_ours = false;
    return MNL_CB_OK;
  }
  const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
  if (header->nfgen_family != NFPROTO_INET || table_name(message) != kOurTable) return MNL_CB_OK;
  *reading.batch_is_ours = true;
  if (type == NFT_MSG_DELTABLE) reading.news->table_removed = true;
  return MNL_CB_OK;
}

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

class NetlinkEvents final : public FirewallEvents {
 public:
  explicit NetlinkEvents(std::unique_ptr<mnl_socket, Close> socket) : socket_(std::move(socket)) {}
  int fd() const override { return mnl_socket_get_fd(socket_.get()); }
  Result<FirewallNews> drain() override;

 private:
  std::unique_ptr<mnl_socket, Close> socket_;
  // A transaction's messages end with one of a new generation, perhaps in a later datagram.
  bool batch_is_ours_ = false;
};

Result<FirewallNews> NetlinkEvents::drain() {
  FirewallNews news;
  Reading reading{&news, &batch_is_ours_};
  alignas(nlmsghdr) std::array<char, 64 * 1024> buffer{};
  while (true) {
    const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (size > 0) {
      // Events carry no sequence number or port of ours to check: 0 accepts any.
      if (mnl_cb_run(buffer.data(), static_cast<size_t>(size), 0, 0, on_message, &reading) < 0)
        news.missed = true;
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
      news.missed = true;
      batch_is_ours_ = false;
      continue;
    }
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return news;
    return internal_error(std::string("reading firewall events: ") + std::strerror(errno));
  }
}

}  // namespace

Result<FirewallMonitor> FirewallMonitor::open() {
  std::unique_ptr<mnl_socket, Close> socket(
      mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK));
  int group = NFNLGRP_NFTABLES;
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0 ||
      mnl_socket_setsockopt(socket.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail(ErrorKind::internal, "FirewallEventsUnavailable",
                std::string("The kernel's firewall events could not be opened: ") + std::strerror(errno) +
                    ". Run the agent as root (CAP_NET_ADMIN).");
  const int bytes = kReceiveBufferBytes;
  // More than the system's limit takes CAP_NET_ADMIN; without it an overflow is noticed and answered.
  if (setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return FirewallMonitor(std::make_unique<NetlinkEvents>(std::move(socket)));
}

}  // namespace merlon::agent
