// A tape in the store of recordings.
#pragma once

#include "recording/recordings.h"
#include "services/ssh_edge/desk.h"

namespace merlon::ssh_edge {

// Begins one; its first chunk is durable when this returns. Waits for the disk.
Result<std::unique_ptr<Tape>> begin_tape(recording::Recordings& recordings, const identity::Principal& person,
                                         const bastion::Admission& admission);

}  // namespace merlon::ssh_edge
