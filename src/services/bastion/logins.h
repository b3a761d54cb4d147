// What a session may log in as.
#pragma once

#include "services/bastion/api.h"

namespace merlon::bastion {

// The two rights to log in at the target, of whoever comes. One that a step-up policy guards is there once
// the person has met it; where Merlon itself judges the login, and neither is there, what is missing is said.
Result<void> set_logins(const resource::Core& core, store::Reader& reader, const WayIn& way,
                        Admission& admission);

// Of somebody who has the right to this login: whether it is there now, so that they may give it to others.
Result<void> require_fresh_login(const resource::Core& core, store::Reader& reader,
                                 const identity::Principal& caller, const std::string& login,
                                 const std::string& target);

}  // namespace merlon::bastion
