// The server process: everything assembled by hand, in order, then served until a signal ends it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "server/backup.h"
#include "server/restore.h"

namespace merlon::server {

struct Options {
  std::string state_dir;
  std::vector<std::string> listen = {"127.0.0.1:8443", "[::1]:8443"};
  std::string domain;                        // empty: what the state says, else merlon.localhost
  std::string store_url = "sqlite";          // the embedded store in state_dir; or postgres://…
  std::string root_key_path;                 // what seal::RootPlace::parse reads; empty: state_dir/root.key
  std::string hsm;                           // where vaults' -HSM keys lie: crypto/hsm.h; empty: none
  std::string throttle = "off";              // resource::parse_rate_limits
  std::vector<std::string> private_issuers;  // foreign token issuers inside the network, by their exact URL
  std::string advertise;                     // where agents reach this very server: ADDR:PORT
  std::vector<std::string>
      bastion_ssh;  // where plain SSH clients reach the bastion: ADDR:PORT; none: nowhere
  std::vector<std::string> bastion_reaches;  // prefixes that bastions connect to; none: anywhere
  std::string recordings;                    // recording::parse_recording_limits
  bool keep_bootstrap = false;               // the first credential does not expire: for tests
};

// Blocks until SIGTERM or SIGINT, then stops cleanly. Must be called before any other thread exists (signals
// are masked).
Result<void> run(const Options& options);

// With the server stopped: a new bootstrap credential in DIR/bootstrap.json, for an owner who has lost every
// other (local root).
Result<void> recover(const StateLocation& location);

// restore.h, into a directory that is made when it is not there.
Result<RestoreReport> restore_state(const StateLocation& location, const std::string& file,
                                    const Clock& clock, Random& random);

}  // namespace merlon::server
