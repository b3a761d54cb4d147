// A backup becomes a state again (trust.md, Versions and restore): elsewhere or in place of one that was
// lost.
#pragma once

#include <string>

#include "server/backup.h"

namespace merlon::server {

struct RestoreReport {
  BackupHeader header;
  int64_t rows = 0;
  size_t machines = 0;         // that get a new epoch
  size_t grants_ended = 0;     // that were active when the backup was made
  size_t token_keys_left = 0;  // that a hardware token was making at that moment
};

// Into a store in which nothing is, with the root key of the state that was backed up. Every grant and
// session is ended, every token from before is void, every machine starts a new epoch, and the ledger says
// so, before the state may be served.
Result<RestoreReport> restore(const StateLocation& location, const std::string& file, const Clock& clock,
                              Random& random);

}  // namespace merlon::server
