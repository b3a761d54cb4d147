// Signing in at a machine by a secret: a private key, or a password, which is also the answer to the one
// question of a keyboard-interactive sign-in that is not shown while it is typed.
#pragma once

#include <string>

#include "base/result.h"
#include "ssh/desk.h"
#include "ssh/libssh_handles.h"

namespace merlon::ssh {

// On a session to a machine that has been recognised; waits. A password is sent once, whatever is asked.
// Errors are for the person, with nothing in them that the machine has said: it may know the password by
// then.
Result<void> sign_in_by_secret(ssh_session session, const MachineSecret& secret, const std::string& machine,
                               const std::string& login);

}  // namespace merlon::ssh
