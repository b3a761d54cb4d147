// Two ends of one stream within this process: one for a tunnel (TunnelPlan::descriptor), one for whoever it
// is joined with.
#pragma once

#include <utility>

#include "base/result.h"

namespace merlon::net {

// Connected, and they block nobody.
Result<std::pair<int, int>> make_tunnel_pair();

}  // namespace merlon::net
