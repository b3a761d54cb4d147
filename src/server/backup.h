// A backup of the state, taken while the server runs or not: one snapshot of everything but the root key.
#pragma once

#include <optional>
#include <string>

#include "seal/root_place.h"
#include "server/backup_format.h"

namespace merlon::server {

struct StateLocation {
  std::string state_dir;
  std::string store_url = "sqlite";
  std::string root_key_path;      // what seal::RootPlace::parse reads; empty: state_dir/root.key
  std::optional<Secret> typed{};  // the passphrase or recovery key, where the root key is not a file
};

Result<seal::RootPlace> root_key_of(const StateLocation& location);

struct BackupReport {
  std::string file;
  BackupHeader header;
  int64_t rows = 0;
};

// `target` is a file that does not exist yet, or a directory, where a name with the time is made up. The file
// is 0600, and there whole or not at all.
Result<BackupReport> back_up(const StateLocation& location, const std::string& target, const Clock& clock,
                             Random& random);

}  // namespace merlon::server
