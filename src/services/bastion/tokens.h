// The data plane's tokens. An authToken belongs to one person, machine and port, and names what DELETE ends;
// a websocketToken lets that person through once, within seconds. The token of an .rdp file lets them through
// a Remote Desktop gateway for some minutes, as often as a client tries (decision 0054). All are random, and
// kept as digests only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "resource/core.h"
#include "services/bastion/model.h"
#include "store/table.h"

namespace merlon::bastion {

inline constexpr auto kWebsocketTokenLife = std::chrono::seconds(30);
inline constexpr auto kAuthTokenLife = std::chrono::hours(24);
inline constexpr auto kGatewayTokenLife = std::chrono::minutes(5);

struct TunnelToken {
  std::string digest;     // of the authToken: SHA-256, hex
  std::string websocket;  // of the websocketToken; empty once it was used
  Timestamp websocket_until;
  bool is_for_gateway = false;  // `websocket` is an .rdp file's
  Timestamp expires;
  std::string bastion;                // key of the host's id
  WayIn way;                          // who, from where, to what
  std::vector<std::string> sessions;  // that came of it
  // Indexes: websocket (unique), person, expires.
  static const store::TableSpec& table();
  std::string key() const { return digest; }
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<TunnelToken> from_json(const JsonObject& json);
};

std::string new_token(Random& random);  // 256 bits, base64url
std::string token_digest(std::string_view token);
Result<void> forget_old_tokens(const resource::Core& core, Timestamp now);

}  // namespace merlon::bastion
