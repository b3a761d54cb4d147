// What this machine is: collected for the server, and for the platform rules. Reads /proc, /etc and the
// kernel's interface list; nothing here needs a privilege.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "machine/messages.h"

namespace merlon::agent {

Result<std::string> boot_id();  // an error where /proc is not mounted
machine::MachineFacts collect_facts();
// The name servers of a resolv.conf(5), zones of link-local addresses cut off.
std::vector<IpAddress> resolvers_of(std::string_view resolv_conf);
std::vector<IpAddress> configured_resolvers();
// How many connections the kernel tracks, and how many it can; zeros where it tracks none.
std::pair<int64_t, int64_t> tracked_connections();
// Interfaces that carry a default route, or one of these addresses: outside whatever their names say.
std::set<std::string> uplinks(const std::vector<IpAddress>& addresses);

}  // namespace merlon::agent
