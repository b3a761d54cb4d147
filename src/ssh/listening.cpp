// Linux's socket addresses as text, and back.
#include "ssh/listening.h"

#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

namespace merlon::ssh {
namespace {

std::unexpected<Error> not_listening(const std::string& address, const std::string& why) {
  return fail(ErrorKind::unavailable, "AddressNotUsable",
              "The bastion cannot listen for SSH on " + address + ": " + why +
                  ". Give another --bastion-ssh ADDR:PORT.");
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

std::optional<SocketAddress> socket_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, fault] = std::from_chars(text.data() + colon + 1, end, port);
  if (!address || fault != std::errc() || rest != end) return std::nullopt;
  SocketAddress made;
  if (address->is_v4()) {
    auto& in = *reinterpret_cast<sockaddr_in*>(&made.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address->bytes().data(), 4);
    made.size = sizeof in;
  } else {
    auto& in = *reinterpret_cast<sockaddr_in6*>(&made.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address->bytes().data(), 16);
    made.size = sizeof in;
  }
  return made;
}

std::string text_of(const Source& source) {
  const std::string address = source.address.text();
  return (source.address.is_v4() ? address : "[" + address + "]") + ":" + std::to_string(source.port);
}

}  // namespace

Source source_of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    return {IpAddress::from_v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
  return {IpAddress::from_v6(bytes), ntohs(in.sin6_port)};
}

Result<Descriptor> listen_on(const std::string& text, std::string& bound) {
  const auto address = socket_address(text);
  if (!address) return not_listening(text, "it is no address and port, such as 192.0.2.10:2222");
  Descriptor socket(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (address->storage.ss_family == AF_INET6)
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  if (!socket.is_open() || ::bind(socket.get(), address->get(), address->size) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0)
    return not_listening(text, std::strerror(errno));
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size);
  bound = text_of(source_of(name));
  return socket;
}

}  // namespace merlon::ssh
