// A small HTTP server for programs of this machine: plain HTTP/1.1 on 127.0.0.1, one request without a body
// for each connection. Its ports (doors) open and close while it runs, and each has connections of its own,
// so that whoever fills one keeps nobody from another.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "net/http.h"

namespace merlon::net {

// Where a request came in, and where its sender meant to go: another port and address when the kernel's NAT
// has redirected the connection here (SO_ORIGINAL_DST). Nothing when the kernel cannot tell.
// And whose socket the sender's is (socket_owner.h): for accounts, never for access.
struct Door {
  uint16_t port = 0;
  std::optional<std::pair<IpAddress, uint16_t>> meant;
  std::optional<uint32_t> user{};
};

struct LoopbackLimits {
  size_t head_bytes_max = 16 * 1024;
  size_t connections_per_door_max = 64;
  std::chrono::milliseconds request_timeout{5'000};
  std::chrono::milliseconds response_timeout{5'000};
  size_t queue_max = 256;
  unsigned workers = 4;
};

class LoopbackServer {
 public:
  // Called on workers, from several at once.
  using Handle = std::function<Response(const Request&, const Door&)>;
  static std::unique_ptr<LoopbackServer> start(Handle handle, LoopbackLimits limits = {});
  virtual ~LoopbackServer() = default;               // stops
  virtual Result<uint16_t> open(uint16_t port) = 0;  // 0 = any free; the port. AddressInUse when it is taken
  // Whoever has connected by then is still answered. `linger`: how long callers may be on their way there
  // yet, as those whom the kernel redirected just before it learnt of another port.
  virtual void close(uint16_t port, std::chrono::milliseconds linger = {}) = 0;
};

}  // namespace merlon::net
