// The file that holds the root key: 32 bytes that only Merlon's own user may read. Not for other rooms:
// seal.h is theirs.
#pragma once

#include <optional>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace merlon::seal {

// Nothing when there is no such file. Refused: not a regular file, of another owner, readable or writable by
// group or others, or not 32 bytes long. `nothing_sealed` chooses the advice for a file of the wrong length.
Result<std::optional<Secret>> read_root_key(const std::string& path, bool nothing_sealed);

// Never replaces a file. Returns when the key and its name are on the disk: a secret sealed under a key that
// a power cut could take away would be lost.
Result<Secret> create_root_key(const std::string& path, Random& random);

}  // namespace merlon::seal
