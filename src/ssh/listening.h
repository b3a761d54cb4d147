// Where the edge listens, and who has come there: socket addresses.
#pragma once

#include <sys/socket.h>

#include <string>

#include "base/result.h"
#include "ssh/descriptor.h"
#include "ssh/desk.h"

namespace merlon::ssh {

// `text` as --bastion-ssh has it; `bound`: where it listens, with the port that was chosen.
Result<Descriptor> listen_on(const std::string& text, std::string& bound);
Source source_of(const sockaddr_storage& storage);

}  // namespace merlon::ssh
