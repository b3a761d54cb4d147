// Tunnels through a bastion, as the data plane gives them: tokens for each connection, and the WebSocket that
// they are redeemed at.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/command.h"
#include "cli/until_signal.h"
#include "net/tunnel_client.h"

namespace merlon::cli {

inline constexpr std::string_view kBastionVersion = "2025-05-01";

std::vector<Command> bastion_commands();
std::vector<Command> bastion_link_commands();
std::vector<Command> bastion_credential_commands();

struct TunnelWish {
  std::string machine;  // name or resource id
  std::string bastion;  // name; empty: the only one
  std::string resource_group;
  uint16_t port = 0;
};

Result<JsonObject> bastions(Api& api);  // {"value": […]}
Result<JsonObject> bastion_named(Api& api, const std::string& name);
Result<JsonObject> bastion_or_only(Api& api, const std::string& name);  // none named: the only one

// Thread-safe: several connections are opened at once.
class Tunnels {
 public:
  static Result<Tunnels> make(const Context& context, const TunnelWish& wish);
  Result<net::TunnelTarget> open();
  // The bastion ends SSH in them, since it records or limits what is inside: it is its host key that is shown
  // there, and no sign-in is asked for. Asks the bastion.
  Result<bool> ends_ssh();
  const std::string& machine_id() const;
  Result<std::string> rdp_file();               // for a client that goes through the bastion's gateway
  void close(const net::TunnelTarget& target);  // tells the server; what it answers does not matter any more

 private:
  struct State;
  Result<JsonObject> ask_tokens();
  explicit Tunnels(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace merlon::cli
