// What the privileged half reads of the machine around it, beside the firewall: passed in, so that the
// simulator can play the machine.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/firewall_identity.h"
#include "agent/firewall_sockets.h"
#include "base/clock.h"
#include "base/ip.h"

namespace merlon::agent {

class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual std::vector<IpAddress> resolvers() const = 0;  // name servers that the machine is configured with
  // Interfaces that carry a default route, or one of these addresses.
  virtual std::set<std::string> uplinks(const std::vector<IpAddress>& addresses) const = 0;
  virtual Result<Sockets> sockets() const = 0;
  // How many connections the kernel tracks, and how many it can.
  virtual std::pair<int64_t, int64_t> tracked_connections() const = 0;
  // The numbers of those users, by name or number, that there are.
  virtual std::vector<uint32_t> uids(const std::vector<std::string>& users) const;
  // The control groups of those systemd units that run.
  virtual std::vector<Cgroup> cgroups(const std::vector<std::string>& units) const;
  virtual std::optional<Cgroup> own_cgroup() const;  // of this process
  virtual Duration running() const = 0;  // CLOCK_MONOTONIC: stands still in suspend, as kernel timers do
};

// This machine.
class LinuxSurroundings final : public Surroundings {
 public:
  std::vector<IpAddress> resolvers() const override;
  std::set<std::string> uplinks(const std::vector<IpAddress>& addresses) const override;
  Result<Sockets> sockets() const override;
  std::pair<int64_t, int64_t> tracked_connections() const override;
  Duration running() const override;
};

}  // namespace merlon::agent
