// Byte streams through WebSockets (RFC 6455): a client's binary messages are the bytes of a connection that
// the server has made in its place, both ways. What a request to become one is answered with, and what is
// known of it while it runs and once it has ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/http.h"

namespace merlon::net {

enum class TunnelEnd : uint8_t {
  client_closed,   // the client said goodbye, or is gone
  target_closed,   // the other end did
  protocol_error,  // the client sent what is no binary message
  idle,            // nothing went either way for too long
  cut,             // TunnelControl::cut()
  connect_failed,  // the other end was never reached
  server_stopping,
};
std::string_view tunnel_end_text(TunnelEnd end);

struct TunnelOutcome {
  TunnelEnd end = TunnelEnd::client_closed;
  std::string detail;  // what the system said, or why it was cut
  uint64_t bytes_to_target = 0;
  uint64_t bytes_to_client = 0;
};

// Ends a tunnel that runs, from any thread; afterwards nothing.
class TunnelControl {
 public:
  explicit TunnelControl(std::function<void(std::string)> cut) : cut_(std::move(cut)) {}
  // `reason` is told to the client in the Close frame (at most 123 bytes of it).
  void cut(std::string reason) const { cut_(std::move(reason)); }

 private:
  std::function<void(std::string)> cut_;
};

class TunnelEnding;  // of the server's own

// The answer yes to a request for a WebSocket.
struct TunnelPlan {
  IpAddress address;  // to connect to; or
  uint16_t port = 0;
  // a stream socket that is connected already: the tunnel's from now on.
  int descriptor = -1;
  std::chrono::milliseconds connect_timeout{15'000};
  // The port may be opening only now: a refusal counts as one when the time is over.
  bool patient = false;
  std::optional<std::chrono::milliseconds> idle_max = std::nullopt;
  // On the thread that reads from connections, before the first byte: must not block.
  std::function<void(TunnelControl)> started = {};
  // On a worker, exactly once, whatever happens to the plan.
  std::function<void(const TunnelOutcome&)> ended = {};
  std::shared_ptr<TunnelEnding> ending = nullptr;  // set by the server
};

// Answers a request with "Upgrade: websocket", on a worker: yes, or an ordinary response. An exception is a
// 500.
using UpgradeHandler = std::function<std::expected<TunnelPlan, Response>(Request)>;

}  // namespace merlon::net
