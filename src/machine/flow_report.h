// What an agent tells of a machine's flows, for flow logs: the facts of an observation "flows". Each report
// is a batch with a number of its own, so that one that is sent twice counts once; what did not fit is
// counted.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "machine/desired_state.h"

namespace merlon::machine {

enum class FlowState : uint8_t { begin, end, denied };

struct ReportedFlow {
  size_t rule = 0;    // which of the report's rules decided
  Duration before{};  // how long before the report was made
  bool inbound = true;
  FlowState state = FlowState::begin;
  uint8_t protocol = 6;  // IANA number
  IpAddress source, destination;
  uint16_t source_port = 0, destination_port = 0;
  // Of a flow that ended, when the kernel counts: sent by its source, and back to it.
  int64_t packets_sent = 0, bytes_sent = 0, packets_back = 0, bytes_back = 0;
};

struct FlowReport {
  struct Rule {
    std::string nic;    // resource id of the network interface
    std::string group;  // resource id of the security group; empty: an opening, or no group
    std::string name;   // of the rule, or the opening's id; empty: no rule matched, or no group
    bool is_default = false;
    bool is_opening = false;
    auto operator<=>(const Rule&) const = default;
  };
  int64_t batch = 0;  // grows with every report of one boot
  int64_t lost = 0;   // flows that are in no report: more came than fit
  std::vector<Rule> rules;
  std::vector<ReportedFlow> flows;
  JsonObject to_json() const;
  static Result<FlowReport> from_json(const JsonObject& json);
};

inline constexpr size_t kReportedFlowsMax = 1000;
inline constexpr size_t kReportedFlowRulesMax = 512;

}  // namespace merlon::machine
