// A call (call.h) that waits at one of several servers on one database, left where the server that the agent
// asks for news finds it: that one tells the agent, which calls the first one by the address that stands
// here.
#pragma once

#include <string>

#include "base/uuid.h"
#include "machine/call.h"
#include "store/table.h"

namespace merlon::machine {

struct LeftCall {
  Uuid machine;
  AgentCall call;       // with its server
  std::string refusal;  // the agent's, where it said it to another server than the one that waits
  static const store::TableSpec& table();
  std::string key() const { return call.id; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<LeftCall> from_json(const JsonObject& json);
};

}  // namespace merlon::machine
