// Whoever comes by a native tunnel in which the bastion ends SSH (Bastion::end_ssh_with): they have been
// admitted, as the tunnel's session, and name a login only now.
#pragma once

#include <memory>

#include "machine/platform.h"
#include "services/bastion/api.h"
#include "ssh/edge.h"

namespace merlon::ssh_edge {

// Answers with a socket that speaks SSH to them. The session says who they are.
Result<int> end_ssh_in_tunnel(const resource::Core& core, bastion::Bastion& bastion, ssh::Edge& edge,
                              const bastion::Admission& admission);

}  // namespace merlon::ssh_edge
