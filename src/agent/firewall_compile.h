// Desired state to nftables text: pure, so that golden tests show every rule. One table `inet merlon`;
// inbound is judged in prerouting between connection tracking (-200) and dstnat (-100), on the address and
// port as published, for host and containers alike; outbound in postrouting after srcnat (100), on what
// leaves. Nothing that the server wrote (names, ids) goes into the text: addresses, numbers and our own words
// alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/firewall_openings.h"
#include "agent/server_range.h"
#include "machine/desired_state.h"

namespace merlon::agent {

inline constexpr std::string_view kTable = "inet merlon";

// How the agent itself reaches its server. Told apart by the user id of its unprivileged process, not by a
// socket mark: SO_MARK needs CAP_NET_ADMIN, and the process that speaks to the network keeps no capability.
struct Contact {
  std::vector<IpAddress> addresses;
  uint16_t port = 0;
  uint32_t uid = 0;
  std::vector<ServerRange> others = {};  // where the machine's owner says that more servers are
  // Whether that is where the agent goes as to its server.
  bool holds(const IpAddress& address, uint16_t to_port) const;
  bool operator==(const Contact&) const = default;
};

// What must pass whatever the rules say (kernel.md, "What must always pass"), as this machine needs it.
struct Platform {
  std::vector<std::string> internal_interfaces;  // names, or prefixes that end in '*'
  std::vector<std::string> uplinks;  // interfaces that are outside, whatever their names look like
  std::vector<IpAddress> resolvers;
  Contact contact;
  // The bits of connection marks that are ours; 0 = no opening of this boot has given one.
  uint32_t mark_mask = 0;
  uint32_t reserved_marks = 0;  // the bits that are to be ours: audit mode looks whether others use them
  bool operator==(const Platform&) const = default;
};

// An interface name or "prefix*" that may stand in a rule.
bool is_interface_pattern(std::string_view text);

// Creates what outlives rule changes: table, base chains, counters, sets. Changes nothing that is there.
std::string base_text();
// The chains that a state needs, beside the base chains.
std::vector<std::string> chain_names(const machine::DesiredState& state);
// Empties every chain and fills it anew; sets are not touched. `stale` are chains to remove.
std::string rules_text(const machine::DesiredState& state, const Platform& platform,
                       const std::vector<OpeningSet>& opening_sets, const std::vector<std::string>& stale);
// The look-ups of openings alone: emptied and filled anew when a prefix length comes into use. `log` is the
// statement that reports what they let in, or empty.
std::string opening_lookups_text(const std::vector<OpeningSet>& opening_sets, uint32_t mark_mask,
                                 std::string_view log);
// The statement of the openings in this state; empty when no interface's flows are logged.
std::string opening_log(const machine::DesiredState& state);

// Whose log statement carries this label: the place of a rule in a state. A label of another state of rules
// means nothing.
struct LoggedRule {
  bool inbound = true;
  bool is_opening = false;
  size_t interface = 0;
  std::optional<size_t> layer;  // nothing: the interface has no security group
  std::optional<size_t> rule;   // nothing: no rule of the layer matched
};
std::optional<LoggedRule> read_label(std::string_view label, const machine::DesiredState& state);

// Nothing but the platform rules: what a machine whose rules cannot be read starts with.
machine::DesiredState closed_state();

}  // namespace merlon::agent
