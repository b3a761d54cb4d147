// What a Remote Desktop client says to a gateway inside its WebSocket, and hears (MS-TSGU, "Terminal Services
// Gateway Server Protocol", sections 2.2.10 and 3.3.5): greets, shows the token of its .rdp file (the "PAA
// cookie"), names the machine, and then sends and gets its bytes in packets. Whether it may is not decided
// here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "net/tunnel.h"

namespace merlon::bastion {

// Where a client wants to go.
struct RdpGatewayWish {
  std::string token;   // of its .rdp file
  std::string target;  // as the file's "full address" has it
  uint16_t port = 0;
  bool operator==(const RdpGatewayWish&) const = default;
};

class RdpGatewayDialog final : public net::TunnelDialog {
 public:
  using Open = std::function<Result<net::TunnelPlan>(const RdpGatewayWish&)>;
  explicit RdpGatewayDialog(Open open) : open_(std::move(open)) {}

  Result<Step> take(std::string_view bytes) override;
  Result<net::TunnelPlan> open() override { return open_(wish_); }
  std::string opened(const Error* refused) override;
  std::string frames(std::string_view bytes) override;
  std::string notice(std::string_view text) override;
  std::string farewell() override;

 private:
  enum class State : uint8_t { greeting, tunnel, authorization, channel, asked, open, over };

  Result<void> packet(uint16_t type, std::string_view body, Step& step);
  Result<void> greet(std::string_view body, Step& step);
  Result<void> make_tunnel(std::string_view body, Step& step);
  Result<void> authorize(std::string_view body, Step& step);
  Result<void> name_channel(std::string_view body, Step& step);
  Result<void> leave(Step& step);

  const Open open_;
  State state_ = State::greeting;
  bool shows_messages_ = false;
  RdpGatewayWish wish_;
  std::string partial_;  // of a packet
};

}  // namespace merlon::bastion
