// One admitted session, between the edge's process and the bastion's register.
#pragma once

#include <memory>

#include "services/ssh_edge/desk.h"
#include "services/ssh_edge/reach_limit.h"

namespace merlon::ssh_edge {

struct SessionParts {
  const resource::Core& core;
  bastion::Bastion& bastion;
  ssh_identity::SshIdentities& identities;
  credential::MachineCredentials& credentials;
  machine::Machines& machines;
  ReachLimit& reach_limit;
};

std::unique_ptr<ssh::Passage> make_session(const SessionParts& parts, const identity::Principal& caller,
                                           const bastion::Admission& admission, std::unique_ptr<Tape> tape);

}  // namespace merlon::ssh_edge
