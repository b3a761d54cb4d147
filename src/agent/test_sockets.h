// For the kernel tests: real connections between the machine and its peer, and a container behind a bridge.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <cerrno>

#include "agent/test_packets.h"

namespace merlon::agent::testing {

inline socklen_t to_sockaddr(const IpAddress& address, uint16_t port, sockaddr_storage& out) {
  out = {};
  if (address.is_v4()) {
    auto& to = reinterpret_cast<sockaddr_in&>(out);
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    std::memcpy(&to.sin_addr, address.bytes().data(), 4);
    return sizeof to;
  }
  auto& to = reinterpret_cast<sockaddr_in6&>(out);
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(port);
  std::memcpy(&to.sin6_addr, address.bytes().data(), 16);
  return sizeof to;
}

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Does what this end says arrive at the other?
  bool reaches(const Socket& other, int within_ms = 400) const {
    const char word = 'm';
    if (::send(fd_, &word, 1, MSG_NOSIGNAL) != 1) return false;
    pollfd wait{.fd = other.fd_, .events = POLLIN, .revents = 0};
    char got = 0;
    return ::poll(&wait, 1, within_ms) == 1 && ::recv(other.fd_, &got, 1, 0) == 1 && got == word;
  }
  // Has the far end, or somebody in its name, ended it?
  bool was_reset(int within_ms = 400) const {
    pollfd wait{.fd = fd_, .events = POLLIN, .revents = 0};
    char got = 0;
    if (::poll(&wait, 1, within_ms) != 1) return false;
    return ::recv(fd_, &got, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
  }

 private:
  int fd_ = -1;
};

inline Socket bound(int type, const IpAddress& address, uint16_t port) {
  Socket socket(::socket(address.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
  const int one = 1;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_storage to{};
  const socklen_t size = to_sockaddr(address, port, to);
  EXPECT_EQ(::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&to), size), 0)
      << address.text() << " " << port << " " << std::strerror(errno);
  if (type == SOCK_STREAM) EXPECT_EQ(::listen(socket.fd(), 64), 0);
  return socket;
}

inline Socket connected(int type, const IpAddress& address, uint16_t port, uint16_t from_port = 0,
                        int within_ms = 400) {
  Socket socket(::socket(address.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage to{};
  if (from_port != 0) {
    const IpAddress any = address.is_v4() ? IpAddress::from_v4(0) : IpAddress::from_v6({});
    const socklen_t size = to_sockaddr(any, from_port, to);
    EXPECT_EQ(::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&to), size), 0) << std::strerror(errno);
  }
  const socklen_t size = to_sockaddr(address, port, to);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&to), size) == 0) return socket;
  if (errno != EINPROGRESS) return Socket();
  pollfd wait{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
  int error = 0;
  socklen_t error_size = sizeof error;
  if (::poll(&wait, 1, within_ms) != 1 ||
      ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &error_size) != 0 || error != 0)
    return Socket();
  return socket;
}

// A connection with both its ends.
struct Talk {
  Socket client, server;
  explicit operator bool() const { return client && server; }
  // Longer than packets take on a busy machine: it is mostly asked of what should flow.
  bool flows() const { return client.reaches(server, 1500) && server.reaches(client, 1500); }
};

// From the peer to what listens behind `address`, which is `listener` (perhaps by way of a translation).
inline Talk talk(const Peer& peer, const Socket& listener, const IpAddress& address, uint16_t port) {
  Talk made;
  peer.there([&] { made.client = connected(SOCK_STREAM, address, port); });
  if (!made.client) return made;
  pollfd wait{.fd = listener.fd(), .events = POLLIN, .revents = 0};
  if (::poll(&wait, 1, 1500) == 1)
    made.server = Socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  return made;
}

// A container's stand-in: a namespace behind the bridge docker0, at 172.17.0.2 and fd00:17::2.
class Container {
 public:
  Container() {
    own_ = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    sleeper_ = ::fork();
    if (sleeper_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::unshare(CLONE_NEWNET) != 0) ::_exit(1);
      ::pause();
      ::_exit(0);
    }
    const std::string place = "/proc/" + std::to_string(sleeper_) + "/ns/net";
    for (int i = 0; i < 1000 && !entered(place); ++i) ::usleep(1000);
    inner_ = ::open(place.c_str(), O_RDONLY | O_CLOEXEC);
    build();
  }
  ~Container() {
    if (sleeper_ > 1) ::kill(sleeper_, SIGKILL);
    ::waitpid(sleeper_, nullptr, 0);
    ::close(own_);
    ::close(inner_);
  }
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  void there(const std::function<void()>& work) const {
    ASSERT_EQ(::setns(inner_, CLONE_NEWNET), 0);
    work();
    ASSERT_EQ(::setns(own_, CLONE_NEWNET), 0);
  }
  Socket listener(std::string_view address, uint16_t port) const {
    Socket made;
    there([&] { made = bound(SOCK_STREAM, IpAddress::parse(address).value(), port); });
    return made;
  }

 private:
  static std::string link_of(const std::string& path) {
    char text[64] = {};
    const ssize_t size = ::readlink(path.c_str(), text, sizeof text - 1);
    return {text, static_cast<size_t>(std::max<ssize_t>(0, size))};
  }
  static bool entered(const std::string& place) {
    const std::string there = link_of(place);
    return !there.empty() && there != link_of("/proc/self/ns/net");
  }
  void build() const {
    must_run("ip link add docker0 type bridge");
    must_run("ip address add 172.17.0.1/16 dev docker0");
    must_run("ip -6 address add fd00:17::1/64 dev docker0 nodad");
    must_run("ip link add veth0 type veth peer name inner0");
    must_run("ip link set veth0 master docker0");
    must_run("ip link set inner0 netns " + std::to_string(sleeper_));
    must_run("ip link set veth0 up");
    must_run("ip link set docker0 up");
    there([] {
      must_run("ip link set lo up");
      must_run("ip address add 172.17.0.2/16 dev inner0");
      must_run("ip -6 address add fd00:17::2/64 dev inner0 nodad");
      must_run("ip link set inner0 up");
      must_run("ip route add default via 172.17.0.1");
      must_run("ip -6 route add default via fd00:17::1");
    });
    for (const char* conf : {"ipv4/ip_forward", "ipv6/conf/all/forwarding"}) write_sysctl(conf, "1");
  }
  int own_ = -1;
  int inner_ = -1;
  pid_t sleeper_ = -1;
};

}  // namespace merlon::agent::testing
