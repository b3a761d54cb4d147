// The identity endpoint's ports.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/metadata.h"
#include "base/log.h"
#include "store/state_directory.h"

namespace merlon::agent {
namespace {

constexpr int kProbeMs = 700;
constexpr uint32_t kLinkLocal = 0xa9fea9fe;  // 169.254.169.254

// Does a cloud's own endpoint answer? Our own rules leave this process alone (firewall_identity.h), so what
// answers it is not us.
bool is_served_by_a_cloud() {
  const store::FileDescriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kLinkLocalPort);
  address.sin_addr.s_addr = htonl(kLinkLocal);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  if (errno != EINPROGRESS) return false;
  pollfd wait{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  if (::poll(&wait, 1, kProbeMs) <= 0) return false;
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

}  // namespace

MetadataServer::MetadataServer(Metadata& metadata)
    : metadata_(metadata),
      server_(net::LoopbackServer::start([&metadata](const net::Request& request, const net::Door& door) {
        return metadata.answer(request, door);
      })) {}

void MetadataServer::close_all() {
  for (const uint16_t port : rule_ports_) server_->close(port);
  rule_ports_.clear();
  if (is_open_) server_->close(kArcPort);
  is_open_ = false;
}

Result<IdentityDoors> MetadataServer::follow(const machine::IdentityEndpoint& endpoint) {
  if (endpoint.empty()) {
    metadata_.follow({}, {});
    close_all();
    return IdentityDoors{};
  }
  IdentityDoors doors;
  std::map<uint16_t, std::string> callers;
  std::vector<uint16_t> ports;
  const auto opened = [&]() -> Result<void> {
    if (!is_open_) TRY(server_->open(kArcPort));
    is_open_ = true;
    for (const machine::CallerRule& rule : endpoint.rules) {
      ports.push_back(TRY(server_->open(0)));
      callers.emplace(ports.back(), rule.name);
      doors.doors.push_back({.port = ports.back(), .users = rule.users, .units = rule.units});
    }
    return {};
  }();
  // Those of before are closed, whatever comes: a port that is used again must not mean what it meant.
  const std::vector<uint16_t> before = std::exchange(rule_ports_, ports);
  if (!opened) {
    metadata_.follow({}, {});
    close_all();
  } else {
    metadata_.follow(endpoint, std::move(callers));
  }
  for (const uint16_t port : before) server_->close(port);
  if (!opened) return std::unexpected(opened.error());
  doors.link_local = endpoint.link_local && !is_served_by_a_cloud();
  if (endpoint.link_local && !doors.link_local)
    log(LogLevel::warning,
        "169.254.169.254 is answered by this machine's cloud: identities are not served there");
  return doors;
}

}  // namespace merlon::agent
