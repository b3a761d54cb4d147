// What guards one interface, compiled: the rules in their order with what they were written as and what they
// come to. The machine's desired state, the effective rules and every explanation are made from this alone.
#pragma once

#include <string>
#include <vector>

#include "machine/desired_state.h"
#include "services/network/links.h"
#include "services/network/security_group.h"

namespace merlon::network {

struct CompiledRule {
  SecurityRule rule;
  machine::FilterRule filter;
  JsonObject shown;  // {name, properties}, as its group shows it
  bool is_default = false;
  // Shown for a just-in-time opening, which has an end in the kernel: never a filter rule, which has none.
  bool is_opening = false;
};

struct CompiledLayer {
  std::string group_id;   // as its creator spelled it
  std::string subnet_id;  // where the group is: at the subnet, or
  std::string nic_id;     // at the interface itself
  bool flush_connections = false;
  std::vector<CompiledRule> inbound, outbound;
};

struct CompiledInterface {
  NicLink link;
  bool primary = false;
  std::vector<CompiledLayer> layers;  // the subnet's, then the interface's own
  Meanings meanings;
};

// A security group with its overlay, as it is shown, and read.
struct ReadGroup {
  Rendering shown;
  std::vector<SecurityRule> rules;  // one for each of `shown.rules`
};
Result<ReadGroup> read_group(const SecurityGroup& group);
// `meanings` has what the rules name. The ids are the caller's to fill in.
CompiledLayer compile_layer(const ReadGroup& group, const Meanings& meanings);

// Without the openings, each direction's layers in the order in which a packet meets them.
machine::InterfacePolicy policy_of(const CompiledInterface& compiled);

}  // namespace merlon::network
