// Recordings over HTTP: who may list, read, watch, verify, search, import and delete them. What records
// sessions uses recording::Recordings itself (recording/recordings.h).
//
// A recording lies within its bastion host and within its machine: rights at either, or above, are rights on
// it. To delete one takes the right at the bastion host or above, since who owns a machine may be whom it was
// recorded from.
#pragma once

#include <memory>

#include "machine/platform.h"
#include "recording/recordings.h"

namespace merlon::recordings {

class Service;
using Handle = std::shared_ptr<Service>;  // one owner; shared so that it needs no whole type here

// Declares the routes; works as long as what it gives back.
Handle install(Platform& platform, recording::Recordings& all);
// Ends imports that nobody goes on with. Every few seconds; waits for the disk.
void tick(Service& service);

}  // namespace merlon::recordings
