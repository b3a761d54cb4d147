// How a server's first credential comes to be, how it is lost and made again (trust.md, Keys: Bootstrap).
#pragma once

#include <string>

#include "base/result.h"
#include "server/assembly.h"

namespace merlon::server {

enum class KeepBootstrap { no, yes };

// At every start: the well-known objects; on an empty directory also the bootstrap principal, Owner at "/",
// and DIR/bootstrap.json (0600), which is written before the transaction commits: a crash between leaves a
// file that opens nothing and is replaced.
Result<void> first_start(Assembly& assembly, const std::string& state_dir, const std::string& port,
                         KeepBootstrap keep);

// A new secret for the bootstrap principal, as Owner again, into DIR/bootstrap.json. Entered in the ledger.
Result<void> recover_bootstrap_file(Assembly& assembly, const std::string& state_dir,
                                    const std::string& port);

}  // namespace merlon::server
