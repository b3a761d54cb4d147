// The process, and the sockets that it is given. What is said with it is in apart_talk.cpp.
#include "ssh/apart.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "ssh/apart_talk.h"
#include "ssh/public_key.h"

namespace merlon::ssh {

Result<std::unique_ptr<Apart>> Apart::sign_in(const Program& program, Task task, const Clock& clock) {
  std::array<int, 2> talking{-1, -1}, going_on{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talking.data()) != 0)
    return internal_error("no socket pair");
  std::unique_ptr<Apart> made(new Apart());
  made->conversation_ = Descriptor(talking[0]);
  const Descriptor its_conversation(talking[1]);
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, going_on.data()) != 0)
    return internal_error("no socket pair");
  made->socket_ = Descriptor(going_on[0]);
  const Descriptor its_end(going_on[1]);
  made->process_ = program.start(its_end, its_conversation);
  if (made->process_ < 0) return internal_error("the process of a sign-in could not be started");

  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  made->host_key_ = PublicKey::of(key.public_key()).line();
  TRY(sign_in_by_talk(made->conversation_, task, TRY(openssh_private_key(key, "merlon")), clock));
  return made;
}

Apart::~Apart() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace merlon::ssh
