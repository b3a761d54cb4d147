// Commands that carry a protocol between two programs, and which way files go by it: what scp, rsync and git
// ask a machine to run (scp(1), rsync(1) --server, gitprotocol-pack(5)).
#pragma once

#include <string_view>

namespace merlon::ssh {

struct DataCommand {
  // It is one of these programs, as their clients start it, and nothing else: no second command, nothing that
  // a shell would put in its place, no option that starts another program. Only this is let through where
  // commands are not, and not recorded word by word.
  bool is_protocol = false;
  // Files go to the machine, or come from it: as the command says, for whatever looks like one of these. What
  // looks like one and is none is a command like any other.
  bool sends = false;
  bool fetches = false;
};

// What a command says of itself: whoever writes another command moves bytes in another way, which is
// recorded.
DataCommand data_command(std::string_view command);

}  // namespace merlon::ssh
