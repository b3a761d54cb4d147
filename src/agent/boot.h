// What local root does to a machine's firewall, on whatever kernel it is given: `merlon agent release` and
// `restore` without their process.
#pragma once

#include "agent/firewall.h"
#include "agent/state_files.h"
#include "agent/warden.h"

namespace merlon::agent {

// What is known of the machine in this boot.
struct Boot {
  std::string id;
  std::vector<IpAddress> resolvers;
  uint32_t agent_uid = 0;
};

// Marks the machine as released and takes the table away.
Result<void> release_on(const StateFiles& files, const ReleaseMark& mark, Firewall& firewall);

// Takes the mark away when this boot may end the release. False when the machine stays open: it is not
// enrolled, or it was released before this boot.
Result<bool> ends_release(const StateFiles& files, const std::string& boot_id);
// The last confirmed rules without any opening; else the platform rules alone.
Result<void> restore_on(const StateFiles& files, const Boot& boot, Firewall& firewall);

}  // namespace merlon::agent
