// The process of one connection: `merlon bastion-session`, which the edge starts with the connection as
// descriptor 3 and its conversation with the server as descriptor 4.
#pragma once

namespace merlon::ssh {

inline constexpr const char* kSessionCommand = "bastion-session";
inline constexpr int kClientDescriptor = 3;
inline constexpr int kServerDescriptor = 4;

// The exit status. Never returns before the connection is over.
int run_session_process();

}  // namespace merlon::ssh
