// People who have signed in elsewhere than at the SSH edge, and whose sessions run there all the same.
#pragma once

#include <memory>
#include <string>

#include "identity/principal.h"
#include "services/bastion/api.h"
#include "ssh/desk.h"

namespace merlon::ssh_edge {

// Somebody at a page of a bastion's, for ssh::Edge::serve().
struct Visitor {
  identity::Principal principal;
  bastion::Transport transport = bastion::Transport::browser;
  std::string user_agent;
  std::string link_id;  // of the shareable link that the principal stands for
  std::string justification;
};
std::shared_ptr<ssh::Person> make_person(Visitor visitor);

}  // namespace merlon::ssh_edge
