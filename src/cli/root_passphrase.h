// The passphrase of the root key, or its recovery key: from a file, or from a person at the terminal.
#pragma once

#include <string>

#include "base/secret.h"
#include "cli/command.h"
#include "server/backup.h"

namespace merlon::cli {

// "-" is standard input; an empty name asks on the terminal. One line break at the end is not part of it.
Result<Secret> read_passphrase(const std::string& question, const std::string& file);
// Twice on the terminal, so that no slip of a finger locks the state away.
Result<Secret> read_new_passphrase(const std::string& file);
// For commands that open the state themselves: asks where the root key is kept by a passphrase, or where a
// file with the recovery key is given.
Result<server::StateLocation> with_passphrase(server::StateLocation location, const std::string& file);

}  // namespace merlon::cli
