// One question to the kernel by sock_diag(7), about one socket.
#include "net/socket_owner.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace merlon::net {
namespace {

struct Question {
  nlmsghdr head{};
  inet_diag_req_v2 body{};
};

class DiagnosisSocket {
 public:
  DiagnosisSocket() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {
    // The kernel answers before send() is back; this is for a kernel that does not answer at all.
    const timeval patience{.tv_sec = 0, .tv_usec = 100'000};
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~DiagnosisSocket() {
    if (fd_ >= 0) ::close(fd_);
  }
  DiagnosisSocket(const DiagnosisSocket&) = delete;
  DiagnosisSocket& operator=(const DiagnosisSocket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::optional<uint32_t> socket_owner(const std::pair<IpAddress, uint16_t>& from,
                                     const std::pair<IpAddress, uint16_t>& to) {
  if (!from.first.is_v4() || !to.first.is_v4()) return std::nullopt;
  const DiagnosisSocket socket;
  if (socket.fd() < 0) return std::nullopt;
  Question question;
  question.head.nlmsg_len = sizeof question;
  question.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.head.nlmsg_flags = NLM_F_REQUEST;
  question.body.sdiag_family = AF_INET;
  question.body.sdiag_protocol = IPPROTO_TCP;
  question.body.idiag_states = ~0U;
  std::memcpy(&question.body.id.idiag_src[0], from.first.bytes().data(), sizeof(in_addr));
  question.body.id.idiag_sport = htons(from.second);
  std::memcpy(&question.body.id.idiag_dst[0], to.first.bytes().data(), sizeof(in_addr));
  question.body.id.idiag_dport = htons(to.second);
  question.body.id.idiag_cookie[0] = question.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (::send(socket.fd(), &question, sizeof question, 0) != static_cast<ssize_t>(sizeof question))
    return std::nullopt;
  alignas(nlmsghdr) std::array<char, 4096> buffer{};
  const ssize_t size = ::recv(socket.fd(), buffer.data(), buffer.size(), 0);
  if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg)))) return std::nullopt;
  nlmsghdr head{};
  std::memcpy(&head, buffer.data(), sizeof head);
  if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
  inet_diag_msg said{};
  std::memcpy(&said, buffer.data() + NLMSG_HDRLEN, sizeof said);
  return said.idiag_uid;
}

}  // namespace merlon::net
