// A tape in the store of recordings.
#pragma once

#include "recording/recordings.h"
#include "services/ssh_edge/desk.h"

namespace merlon::ssh_edge {

// Begins one; its first chunk is durable when this returns. Waits for the disk. An administrator's (of the
// directory) begins on a full disk's reserve, too: somebody must be able to make room.
Result<std::unique_ptr<Tape>> begin_tape(const resource::Core& core, recording::Recordings& recordings,
                                         const identity::Principal& person,
                                         const bastion::Admission& admission);

}  // namespace merlon::ssh_edge
