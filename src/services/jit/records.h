// What grants of this service hold: an opening, and a request that waits for others to agree.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "machine/desired_state.h"

namespace merlon::jit {

inline constexpr std::string_view kOpeningKind = "jit";
inline constexpr std::string_view kRequestKind = "jit-request";

// What the machine has said about an opening, beside that it is in its kernel.
struct MachineReport {
  std::string refused;           // why its local cap (trust.md, Machines) does not let it in
  std::string cap;               // the longest that its cap allows, when that cut the opening short: "PT2H"
  std::optional<Timestamp> end;  // when it ends there, then
  std::string closed;            // why the machine closed it before the server did
  bool operator==(const MachineReport&) const = default;
};

// One port of one machine, for some sources.
struct PortGrant {
  std::string policy_id;
  std::string vm_id;
  uint16_t number = 0;
  machine::Protocol protocol = machine::Protocol::tcp;
  std::vector<std::string> sources;
  std::string request_id;  // the request it came with: one request may open several ports
  bool cut_established = false, live_server = false;
  std::vector<std::string> approved_by;  // names
  MachineReport machine;
  JsonObject to_json() const;
  static Result<PortGrant> from_json(const JsonObject& json);
};

// Somebody's yes or no.
struct Verdict {
  std::string object_id, name, justification;
  Timestamp time;
  JsonObject to_json() const;
  static Result<Verdict> from_json(const JsonObject& json);
};

struct WaitingRequest {
  std::string policy_id;
  JsonObject body;      // as initiate takes it, with its sources filled in
  std::string address;  // that it came from
  std::string extends;  // id of the opening that is to last longer; empty: a new one
  std::vector<Verdict> approvals;
  std::optional<Verdict> denial;
  JsonObject to_json() const;
  static Result<WaitingRequest> from_json(const JsonObject& json);
};

JsonArray texts_json(const std::vector<std::string>& texts);
// Azure shows one source in the singular member and several in the plural one.
void put_sources(JsonObject& json, const std::vector<std::string>& sources);

}  // namespace merlon::jit
