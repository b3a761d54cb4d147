// The identity endpoint's ports.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "agent/metadata.h"
#include "base/log.h"
#include "store/state_directory.h"

namespace merlon::agent {
namespace {

constexpr int kProbeMs = 700;
// For a connection that the kernel had redirected, but not finished, when it learnt of the new doors.
constexpr std::chrono::milliseconds kLinger{500};
constexpr Duration kLookAgain{600'000};
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

// For which identities its callers may ask does not matter to a door.
bool has_same_callers(const machine::CallerRule& a, const machine::CallerRule& b) {
  return a.name == b.name && a.users == b.users && a.units == b.units;
}

}  // namespace

MetadataServer::MetadataServer(Metadata& metadata, const Clock& clock)
    : metadata_(metadata),
      clock_(clock),
      server_(net::LoopbackServer::start([&metadata](const net::Request& request, const net::Door& door) {
        return metadata.answer(request, door);
      })) {}

void MetadataServer::close_all() {
  for (const uint16_t port : rule_ports_) server_->close(port);
  settle();
  rule_ports_.clear();
  rules_.clear();
  if (is_open_) server_->close(kArcPort);
  is_open_ = false;
}

// A cloud's endpoint neither comes nor goes while a machine runs, but a network may be late.
bool MetadataServer::may_serve_link_local() {
  if (!is_cloud_ || clock_.boottime() >= look_again_) {
    is_cloud_ = is_served_by_a_cloud();
    look_again_ = clock_.boottime() + kLookAgain;
    if (*is_cloud_)
      log(LogLevel::warning,
          "169.254.169.254 is answered by this machine's cloud: identities are not served there");
  }
  return !*is_cloud_;
}

Result<std::vector<uint16_t>> MetadataServer::open_doors(const machine::IdentityEndpoint& endpoint) {
  if (!is_open_) TRY(server_->open(kArcPort));
  is_open_ = true;
  std::vector<uint16_t> ports;
  std::vector<uint16_t> fresh;
  for (const machine::CallerRule& rule : endpoint.rules) {
    const auto known = std::ranges::find_if(
        rules_, [&](const machine::CallerRule& before) { return has_same_callers(rule, before); });
    if (known != rules_.end()) {
      ports.push_back(rule_ports_[static_cast<size_t>(known - rules_.begin())]);
      continue;
    }
    const auto port = server_->open(0);
    if (!port) {
      for (const uint16_t opened : fresh) server_->close(opened);
      return std::unexpected(port.error());
    }
    ports.push_back(*port);
    fresh.push_back(*port);
  }
  return ports;
}

void MetadataServer::settle() {
  for (const uint16_t port : leaving_) server_->close(port, kLinger);
  leaving_.clear();
}

Result<IdentityDoors> MetadataServer::follow(const machine::IdentityEndpoint& endpoint) {
  const auto ports = endpoint.empty() ? Result<std::vector<uint16_t>>() : open_doors(endpoint);
  if (endpoint.empty() || !ports) {
    metadata_.follow({}, {});
    close_all();
    if (!ports) return std::unexpected(ports.error());
    return IdentityDoors{};
  }
  IdentityDoors doors;
  std::map<uint16_t, std::string> callers;
  for (size_t i = 0; i < ports->size(); ++i) {
    const machine::CallerRule& rule = endpoint.rules[i];
    callers.emplace((*ports)[i], rule.name);
    doors.doors.push_back({.port = (*ports)[i], .users = rule.users, .units = rule.units});
  }
  settle();  // of earlier ones that the kernel was never told of, no more than the last stay
  for (const uint16_t port : rule_ports_)
    if (std::ranges::find(*ports, port) == ports->end()) leaving_.insert(port);
  metadata_.follow(endpoint, std::move(callers), leaving_);
  rule_ports_ = *ports;
  rules_ = endpoint.rules;
  doors.link_local = endpoint.link_local && may_serve_link_local();
  return doors;
}

}  // namespace merlon::agent
