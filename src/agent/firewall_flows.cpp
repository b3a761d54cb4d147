// nfnetlink_log and ctnetlink, read with libmnl.
#include "agent/firewall_flows.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>

#include "agent/firewall_tuples.h"
#include "base/bytes.h"
#include "base/log.h"

namespace merlon::agent {
namespace {

constexpr int kReceiveBufferBytes = 4 * 1024 * 1024;
constexpr const char* kCounting = "/proc/sys/net/netfilter/nf_conntrack_acct";

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using Socket = std::unique_ptr<mnl_socket, Close>;

std::unexpected<Error> failed(const std::string& what) {
  return fail(ErrorKind::internal, "FlowEventsUnavailable",
              "The kernel's reports of flows could not be " + what + ": " + std::strerror(errno) +
                  ". Flow logs stay empty. Check that the kernel has nfnetlink_log and nf_conntrack_netlink, "
                  "and that no other program reads nfnetlink_log group 19788.");
}

Result<Socket> open_socket() {
  Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return failed("opened");
  const int bytes = kReceiveBufferBytes;
  if (setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return socket;
}

// One configuration message, and the kernel's answer to it. On a socket of its own kind that nothing else has
// been sent to yet: the first messages are answers.
Result<void> configure(mnl_socket& socket, const std::function<void(nlmsghdr*)>& fill) {
  alignas(nlmsghdr) std::array<char, 1024> buffer{};
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  header->nfgen_family = AF_UNSPEC;
  header->version = NFNETLINK_V0;
  header->res_id = htons(kFlowLogGroup);
  fill(message);
  if (mnl_socket_sendto(&socket, message, message->nlmsg_len) < 0) return failed("asked for");
  // The kernel answers a request of its own process before sendto returns.
  alignas(nlmsghdr) std::array<char, 8192> answer{};
  const ssize_t size = mnl_socket_recvfrom(&socket, answer.data(), answer.size());
  if (size <= 0 || mnl_cb_run(answer.data(), static_cast<size_t>(size), 0, mnl_socket_get_portid(&socket),
                              nullptr, nullptr) < 0)
    return failed("asked for");
  return {};
}

Result<Socket> open_log() {
  Socket socket = TRY(open_socket());
  TRY(configure(*socket, [](nlmsghdr* message) {
    nfulnl_msg_config_cmd command{};
    command.command = NFULNL_CFG_CMD_BIND;
    mnl_attr_put(message, NFULA_CFG_CMD, sizeof command, &command);
  }));
  TRY(configure(*socket, [](nlmsghdr* message) {
    nfulnl_msg_config_mode mode{};
    mode.copy_mode = NFULNL_COPY_PACKET;
    mode.copy_range = htonl(kFlowLogBytes);
    mnl_attr_put(message, NFULA_CFG_MODE, sizeof mode, &mode);
    mnl_attr_put_u32(message, NFULA_CFG_TIMEOUT, htonl(20));  // hundredths of a second
    mnl_attr_put_u16(message, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
  }));
  return socket;
}

Result<Socket> open_tracking() {
  Socket socket = TRY(open_socket());
  int group = NFNLGRP_CONNTRACK_DESTROY;
  if (mnl_socket_setsockopt(socket.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return failed("subscribed to");
  return socket;
}

int64_t count_of(const nlattr& attribute) {
  if (mnl_attr_get_payload_len(&attribute) != sizeof(uint64_t)) return 0;
  uint64_t value = 0;
  for (const uint8_t byte : bytes_of(attribute)) value = (value << 8) | byte;
  return static_cast<int64_t>(value & INT64_MAX);
}

void count(const nlattr& nest, int64_t& packets, int64_t& bytes) {
  each_nested(nest, [&](const nlattr& field) {
    if (mnl_attr_get_type(&field) == CTA_COUNTERS_PACKETS) packets = count_of(field);
    if (mnl_attr_get_type(&field) == CTA_COUNTERS_BYTES) bytes = count_of(field);
  });
}

class NetlinkFlows final : public FlowEvents {
 public:
  NetlinkFlows(Socket log, Socket tracking) : log_(std::move(log)), tracking_(std::move(tracking)) {}
  ~NetlinkFlows() override {
    if (!was_counting_) write_counting('0');
  }
  NetlinkFlows(const NetlinkFlows&) = delete;
  NetlinkFlows& operator=(const NetlinkFlows&) = delete;

  void count_packets() {
    const int file = ::open(kCounting, O_RDWR | O_CLOEXEC);
    char value = '1';
    if (file < 0 || ::read(file, &value, 1) != 1) value = '1';
    if (file >= 0) ::close(file);
    was_counting_ = value != '0';
    if (!was_counting_ && !write_counting('1'))
      log(LogLevel::warning, "flow logs will show no packets and bytes: nf_conntrack_acct cannot be set");
  }

  Result<FlowNews> drain(size_t most) override {
    FlowNews news;
    TRY(read(*log_, news, most));
    TRY(read(*tracking_, news, most));
    return news;
  }

 private:
  static bool write_counting(char value) {
    const int file = ::open(kCounting, O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool written = ::write(file, &value, 1) == 1;
    ::close(file);
    return written;
  }

  Result<void> read(mnl_socket& socket, FlowNews& news, size_t most) {
    alignas(nlmsghdr) std::array<char, 64 * 1024> buffer{};
    while (news.packets.size() < most && news.ended.size() < most) {
      const ssize_t size = mnl_socket_recvfrom(&socket, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == ENOBUFS) {
        // How many the log's numbers tell; of ended connections nobody does.
        if (&socket == tracking_.get()) ++news.lost;
        continue;
      }
      if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
      if (size <= 0) return internal_error(std::string("reading flows: ") + std::strerror(errno));
      news_ = &news;
      // Events carry no sequence number or port of ours to check: 0 accepts any.
      mnl_cb_run(buffer.data(), static_cast<size_t>(size), 0, 0, &NetlinkFlows::on_message, this);
    }
    return {};
  }

  static int on_message(const nlmsghdr* message, void* data) {
    auto* self = static_cast<NetlinkFlows*>(data);
    const void* first = mnl_nlmsg_get_payload_offset(message, sizeof(nfgenmsg));
    const void* end = mnl_nlmsg_get_payload_tail(message);
    if (message->nlmsg_type == ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET)) self->on_packet(first, end);
    if (message->nlmsg_type == ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE))
      self->on_end(first, end);
    return MNL_CB_OK;
  }

  void on_packet(const void* first, const void* end) {
    LoggedPacket packet;
    std::optional<FlowKey> key;
    each_attribute(first, end, [&](const nlattr& attribute) {
      const auto type = mnl_attr_get_type(&attribute);
      if (type == NFULA_PREFIX && mnl_attr_validate(&attribute, MNL_TYPE_NUL_STRING) >= 0)
        packet.label = mnl_attr_get_str(&attribute);
      if (type == NFULA_PAYLOAD) key = read_packet_head(bytes_of(attribute));
      if (type == NFULA_SEQ && mnl_attr_get_payload_len(&attribute) == sizeof(uint32_t)) {
        const uint32_t number = ntohl(mnl_attr_get_u32(&attribute));
        if (next_ && number != *next_) news_->lost += static_cast<uint32_t>(number - *next_);
        next_ = number + 1;
      }
    });
    if (!key) return;
    packet.key = *key;
    news_->packets.push_back(std::move(packet));
  }

  void on_end(const void* first, const void* end) {
    EndedConnection ended;
    std::optional<FlowKey> original;
    std::optional<FlowKey> reply;
    each_attribute(first, end, [&](const nlattr& attribute) {
      const auto type = mnl_attr_get_type(&attribute);
      if (type == CTA_TUPLE_ORIG) original = tuple_of(attribute);
      if (type == CTA_TUPLE_REPLY) reply = tuple_of(attribute);
      if (type == CTA_COUNTERS_ORIG) count(attribute, ended.packets_sent, ended.bytes_sent);
      if (type == CTA_COUNTERS_REPLY) count(attribute, ended.packets_back, ended.bytes_back);
    });
    if (!original || !reply) return;
    ended.original = *original;
    ended.reply = *reply;
    news_->ended.push_back(ended);
  }

  Socket log_;
  Socket tracking_;
  bool was_counting_ = true;
  std::optional<uint32_t> next_;
  FlowNews* news_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<FlowEvents>> open_flow_events() {
  auto flows = std::make_unique<NetlinkFlows>(TRY(open_log()), TRY(open_tracking()));
  flows->count_packets();
  return std::unique_ptr<FlowEvents>(std::move(flows));
}

}  // namespace merlon::agent
