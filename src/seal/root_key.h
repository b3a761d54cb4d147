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

// A rotation in two steps, between which the database commits. The first leaves the new key beside the old
// one, in PATH.next (an older PATH.next is of a rotation that never committed, and is replaced).
Result<void> put_next_root_key(const std::string& path, const Secret& key);
// The second puts it in the old one's place, which lives on as PATH.until-<time>: backups from before need
// it. Returns that name; empty when there was no old file. May be repeated after a crash, by any process.
Result<std::string> adopt_next_root_key(const std::string& path, const std::string& time);
std::string next_root_key_path(const std::string& path);
// The old key's file, when the root key moves to another kind of place.
Result<std::string> retire_root_key(const std::string& path, const std::string& time);

}  // namespace merlon::seal
