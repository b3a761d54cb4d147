// Commands that carry a protocol between two programs, and which way files go by it: what scp, rsync and git
// ask a machine to run (scp(1), rsync(1) --server, gitprotocol-pack(5)).
#pragma once

#include <string_view>

namespace merlon::ssh {

struct DataCommand {
  bool is_protocol = false;
  bool sends = false;    // files to the machine
  bool fetches = false;  // files from it
};

// What a command says of itself: whoever writes another command moves bytes in another way, which is
// recorded.
DataCommand data_command(std::string_view command);

}  // namespace merlon::ssh
