// People who have signed in elsewhere than at the SSH edge, and whose sessions run there all the same.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "identity/principal.h"
#include "services/bastion/api.h"
#include "ssh/desk.h"

namespace merlon::ssh_edge {

// Somebody at a page of a bastion's, for ssh::Edge::serve().
struct Visitor {
  identity::Principal principal;
  bastion::Transport transport = bastion::Transport::browser;
  bastion::SignedInBy signed_in_by = bastion::SignedInBy::web_session;
  std::string user_agent;
  std::string justification;
  // Of who came by a shareable link (Bastion::way_by_link): the whole way, and where they go is no choice of
  // theirs.
  std::optional<bastion::WayIn> by_link{};
};
std::shared_ptr<ssh::Person> make_person(Visitor visitor);

}  // namespace merlon::ssh_edge
