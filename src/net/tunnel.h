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

#include "base/result.h"
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

// Speaks to a tunnel that runs, from any thread; afterwards nothing.
class TunnelControl {
 public:
  using Said = std::function<void(std::string)>;
  explicit TunnelControl(Said cut, Said tell = {}) : cut_(std::move(cut)), tell_(std::move(tell)) {}
  // Ends it. `reason` is told to the client in the Close frame (at most 123 bytes of it).
  void cut(std::string reason) const { cut_(std::move(reason)); }
  // Shows the person a sentence, where the tunnel's dialog can.
  void tell(std::string text) const {
    if (tell_) tell_(std::move(text));
  }

 private:
  Said cut_, tell_;
};

class TunnelEnding;  // of the server's own
struct TunnelPlan;

// What is spoken inside a WebSocket whose messages are not simply the bytes of the connection: first about
// where to go, then with each piece of it in a frame of its own. Of one tunnel, never called by two threads
// at once.
class TunnelDialog {
 public:
  struct Step {
    std::string to_client{};  // frames
    std::string to_target{};  // bytes; only once opened() has said that it is there
    bool asks = false;        // for open()
    bool over = false;        // the client has said goodbye, or is to be left
  };
  virtual ~TunnelDialog() = default;
  // Bytes of messages, cut anywhere. Must not block. An error ends the tunnel.
  virtual Result<Step> take(std::string_view bytes) = 0;
  // On a worker, once, when a step has asked for it: where to go (a plan without a dialog), or why not.
  virtual Result<TunnelPlan> open() = 0;
  // How that is told, after a notice of why not. `refused`: nothing when the other end is there.
  virtual std::string opened(const Error* refused) = 0;
  virtual std::string frames(std::string_view bytes) = 0;  // from the other end
  virtual std::string notice(std::string_view text) = 0;   // empty: there is no way to tell
  virtual std::string farewell() = 0;
};

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
  // Nothing of the above counts when there is one: it says where to go once the client has said so.
  std::shared_ptr<TunnelDialog> dialog = nullptr;
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
