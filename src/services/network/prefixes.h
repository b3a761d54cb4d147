// Sets of prefixes: what lies outside of some, and everything.
#pragma once

#include <vector>

#include "base/ip.h"

namespace merlon::network {

std::vector<IpPrefix> everything();  // 0.0.0.0/0 and ::/0
// The fewest prefixes that cover every address of both families that lies in none of `prefixes`.
std::vector<IpPrefix> complement(const std::vector<IpPrefix>& prefixes);

}  // namespace merlon::network
