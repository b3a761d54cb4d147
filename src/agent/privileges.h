// What each half of the agent keeps of root.
#pragma once

#include <sys/types.h>

#include "base/result.h"

namespace merlon::agent {

struct Account {
  uid_t uid = 65534;
  gid_t gid = 65534;
};
// The user "merlon-agent" where it exists, else "nobody".
Account unprivileged_account();

// The half that speaks to the network: no capability, no way back.
Result<void> give_up_everything(const Account& account, pid_t parent);
// The half that keeps the firewall: CAP_NET_ADMIN alone. Its files belong to root, so they need no
// capability.
Result<void> keep_only_net_admin();

}  // namespace merlon::agent
