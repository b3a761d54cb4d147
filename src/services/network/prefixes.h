// Sets of prefixes: what lies outside of some, everything, and the shortest way to say the same.
#pragma once

#include <vector>

#include "base/ip.h"

namespace merlon::network {

std::vector<IpPrefix> everything();  // 0.0.0.0/0 and ::/0
// The fewest prefixes that cover every address of both families that lies in none of `prefixes`.
std::vector<IpPrefix> complement(const std::vector<IpPrefix>& prefixes);
// The fewest prefixes that cover exactly what `prefixes` cover, in order.
std::vector<IpPrefix> merged(std::vector<IpPrefix> prefixes);
// Whether some address lies in one of each.
bool overlap(const std::vector<IpPrefix>& left, const std::vector<IpPrefix>& right);

}  // namespace merlon::network
