// Sets of prefixes: what lies outside of some, everything, and the shortest way to say the same.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/json.h"

namespace merlon::network {

std::vector<IpPrefix> everything();  // 0.0.0.0/0 and ::/0
// The fewest prefixes that cover every address of both families that lies in none of `prefixes`.
std::vector<IpPrefix> complement(const std::vector<IpPrefix>& prefixes);
// The fewest prefixes that cover exactly what `prefixes` cover, in order.
std::vector<IpPrefix> merged(std::vector<IpPrefix> prefixes);
// Of a subnet, as its document has them.
std::vector<IpPrefix> subnet_prefixes(const JsonObject& subnet);
// The prefix's address number `number`, counted from its first; nothing when it has fewer.
std::optional<IpAddress> host_of(const IpPrefix& prefix, uint32_t number);
// In a virtual network's document; null when it is not there.
const JsonObject* find_subnet(const JsonObject& network, std::string_view name);
// Whether some address lies in one of each.
// Those that lie in no other, in order: whatever contains something begins before it.
std::vector<IpPrefix> widest(std::vector<IpPrefix> prefixes);
// `space` as widest() makes it.
bool is_within(const std::vector<IpPrefix>& space, const IpPrefix& prefix);
bool overlap(const std::vector<IpPrefix>& left, const std::vector<IpPrefix>& right);

}  // namespace merlon::network
