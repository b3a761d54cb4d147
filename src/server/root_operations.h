// What the owner of the machine does with the root key of a running server, over the control socket: move or
// rotate it, make a recovery key, ask where it is kept. Each is a ledger entry.
#pragma once

#include "server/assembly.h"
#include "server/control_socket.h"

namespace merlon::server {

// Actions "root-status", "root-rotate" (subject: the new place, empty for the one of now; secret: a new
// passphrase) and "root-recovery-key"; others are refused.
Result<JsonObject> handle_root_request(Assembly& assembly, const std::string& state_dir,
                                       const ControlRequest& request);

// Enters that a sealed server was opened, and how often somebody tried in vain before.
Result<void> record_unsealed(Assembly& assembly, unsigned user, int64_t failed_attempts);

}  // namespace merlon::server
