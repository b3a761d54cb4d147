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

}  // namespace merlon::ssh
