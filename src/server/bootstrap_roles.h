// The bootstrap credential's roles end with it. Disabled and without a secret it is nobody, but whoever
// administers the directory could switch it on again and give it a secret: a program that owns everything,
// and that no step-up policy concerns.
#pragma once

#include "resource/core.h"

namespace merlon::server {

// Does nothing while it is enabled, and where it has none. `merlon admin recover` gives them anew.
Result<void> take_roles_of_retired_bootstrap(const resource::Core& core, store::Transaction& tx);

}  // namespace merlon::server
