// The server's half of the conversation with the process apart that signs in at a machine (apart.h). Not for
// other rooms.
#pragma once

#include "ssh/apart.h"

namespace merlon::ssh {

// Waits until the other end has said yes or no, or has gone. `host_key`: a private key that it is to show
// from then on. Errors are for the person.
Result<void> sign_in_by_talk(const Descriptor& conversation, const Apart::Task& task, const Secret& host_key,
                             const Clock& clock);

}  // namespace merlon::ssh
