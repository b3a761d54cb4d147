// Owners of libssh's objects.
#pragma once

// The ssh_message functions are marked deprecated, and nothing else tells of "direct-tcpip" or
// keyboard-interactive.
#define SSH_SUPPRESS_DEPRECATED 1
#include <libssh/libssh.h>
#include <libssh/server.h>

#include <memory>

namespace merlon::ssh {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

using SessionHandle = std::unique_ptr<ssh_session_struct, FreeWith<ssh_free>>;
using BindHandle = std::unique_ptr<ssh_bind_struct, FreeWith<ssh_bind_free>>;
using KeyHandle = std::unique_ptr<ssh_key_struct, FreeWith<ssh_key_free>>;
using MessageHandle = std::unique_ptr<ssh_message_struct, FreeWith<ssh_message_free>>;

// Whether anything will ever be read or written again. After a message that it does not take, libssh reads no
// more from a session, says that it is still connected, and leaves what has come unread: whoever polls its
// descriptor is woken again and again.
inline bool is_alive(ssh_session session) {
  return ssh_is_connected(session) != 0 && (ssh_get_status(session) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0;
}

}  // namespace merlon::ssh
