// The machine as Linux shows it.
#include "agent/surroundings.h"

#include <chrono>

#include "agent/facts.h"

namespace merlon::agent {

std::vector<IpAddress> LinuxSurroundings::resolvers() const { return configured_resolvers(); }

std::set<std::string> LinuxSurroundings::uplinks(const std::vector<IpAddress>& addresses) const {
  return agent::uplinks(addresses);
}

Result<Sockets> LinuxSurroundings::sockets() const { return list_sockets(); }

std::pair<int64_t, int64_t> LinuxSurroundings::tracked_connections() const {
  return agent::tracked_connections();
}

Duration LinuxSurroundings::running() const {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace merlon::agent
