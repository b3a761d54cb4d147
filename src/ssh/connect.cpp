// A just-in-time opening takes a moment to reach the machine's kernel, which drops what comes before.
#include "ssh/connect.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace merlon::ssh {
namespace {

constexpr Duration kTry = std::chrono::milliseconds(1500);
constexpr Duration kPause = std::chrono::milliseconds(250);

int try_once(const IpAddress& address, uint16_t port, Duration within, Descriptor& made) {
  Descriptor socket(
      ::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return errno;
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes().data(), 4);
    size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address.bytes().data(), 16);
    size = sizeof in;
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0 && errno != EINPROGRESS)
    return errno;
  pollfd poll{socket.get(), POLLOUT, 0};
  if (::poll(&poll, 1, static_cast<int>(within.count())) <= 0) return ETIMEDOUT;
  int error = 0;
  socklen_t error_size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
  if (error == 0) made = std::move(socket);
  return error;
}

}  // namespace

Result<Descriptor> connect_to(const IpAddress& address, uint16_t port, std::string_view machine,
                              Duration within, const Clock& clock) {
  const Duration until = clock.boottime() + within;
  for (;;) {
    const Duration left = until - clock.boottime();
    Descriptor made;
    const int error = try_once(address, port, std::clamp(left, Duration(1), kTry), made);
    if (error == 0) return made;
    if (clock.boottime() + kPause >= until)
      return fail(ErrorKind::unavailable, "MachineNotReached",
                  "Port " + std::to_string(port) + " of '" + std::string(machine) + "' (" + address.text() +
                      ") cannot be reached: " + std::strerror(error) +
                      ". Does its SSH server run, and does its agent ('merlon machine show')?");
    ::poll(nullptr, 0, static_cast<int>(kPause.count()));
  }
}

}  // namespace merlon::ssh
