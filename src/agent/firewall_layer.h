// One security rule as nftables matches. A rule that holds both families becomes one line for each.
#pragma once

#include <string>
#include <vector>

#include "machine/desired_state.h"

namespace merlon::agent {

// The match part of each line, with a blank at its end (or empty, when the rule matches everything). No line:
// the rule matches nothing.
std::vector<std::string> rule_matches(const machine::FilterRule& rule);

}  // namespace merlon::agent
