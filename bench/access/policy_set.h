// A set of role assignments of a size and a seed, and questions about it.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "access/access.h"

namespace merlon::bench {

struct Membership {
  Uuid group, member;
};

struct PolicySet {
  std::vector<access::RoleDefinition> roles;  // all built-in ones
  std::vector<std::string> actions;           // that are asked about
  std::vector<Membership> memberships;        // groups in groups too
  std::vector<access::RoleAssignment> assignments;
  struct Asked {
    Uuid principal;
    access::Question question;
  };
  std::vector<Asked> questions;
};

// About half of the questions are on what somebody was given.
PolicySet make_policy_set(std::vector<access::RoleDefinition> roles, size_t assignments, size_t questions,
                          unsigned seed);

// For the peers: roles as the actions that they come to, so that no peer pays for wildcards.
JsonObject to_json(const PolicySet& set, const std::vector<bool>& answers);

}  // namespace merlon::bench
