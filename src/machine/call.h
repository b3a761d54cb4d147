// A way to a machine through its own agent, for machines that the server cannot reach: the agent is told of a
// call beside the answer to its poll, makes it from inside, and carries the bytes of one local port.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/json.h"

namespace merlon::machine {

// Where one server of several is reached, whatever name they share: "192.0.2.10:8443", "[2001:db8::1]:8443".
struct ServerAddress {
  IpAddress address;
  uint16_t port = 0;
  bool operator==(const ServerAddress&) const = default;
  std::string text() const;
  static std::optional<ServerAddress> parse(std::string_view text);
};

struct AgentCall {
  std::string id;     // good once; whoever knows it still needs the agent's certificate
  IpAddress address;  // of the machine's own
  uint16_t port = 0;
  // Who waits, where that is another server than the one that tells of it. It shows the agents' name under
  // the same authority, or is not spoken to.
  std::optional<ServerAddress> server = {};
  bool operator==(const AgentCall&) const = default;
  JsonObject to_json() const;
  static Result<AgentCall> from_json(const JsonObject& json);
};

// Of one answer.
inline constexpr size_t kCallsMax = 16;
JsonArray calls_json(const std::vector<AgentCall>& calls);
// The member "calls" of an answer; without it there are none.
Result<std::vector<AgentCall>> read_calls(const JsonObject& answer);

// POST /agent/v1/call: that it will not be made. The call itself is GET /agent/v1/call/ID, a WebSocket.
struct CallRefusal {
  std::string id, message;
  JsonObject to_json() const;
  static Result<CallRefusal> from_json(const JsonObject& json);
};

}  // namespace merlon::machine
