// From what a machine in audit mode has seen: rules that would let in what comes in today, and whom
// enforcement would lock out. Pure, so that tests show every case.
#pragma once

#include "machine/traffic.h"

namespace merlon::machine {

struct ProposedRule {
  std::string name;
  int64_t priority = 0;
  Protocol protocol = Protocol::tcp;
  uint16_t port = 0;
  std::vector<IpPrefix> sources;  // none: from anywhere
  std::string description;
  JsonObject to_json() const;  // as a security rule of Azure's
};

struct Proposal {
  std::vector<ProposedRule> rules;
  std::vector<std::string> notes;  // what was left out, and what to do about it
};
Proposal propose(const DesiredState& state, const Traffic& traffic, Timestamp now);

// Each a clause for a person: sessions that could not be made again, and what would break connections.
std::vector<std::string> enforcement_obstacles(const DesiredState& state, const Traffic& traffic,
                                               Timestamp now);

// The security group that a proposal belongs in: the one nearest to the machine's primary interface.
std::string group_for_proposal(const DesiredState& state);

}  // namespace merlon::machine
