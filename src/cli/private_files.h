// Files with secrets, below the person's own directory: 0600 in a directory of 0700, written whole or not at
// all, and not read when others could have read or changed them.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace merlon::cli {

// Nothing when there is no such file. Refused: a file that is somebody else's, or open to others.
Result<std::optional<std::string>> read_private_file(const std::string& path);
// Makes the directory (0700) when it is missing.
Result<void> write_private_file(const std::string& path, const std::string& text);
// True when there was one.
Result<bool> remove_file(const std::string& path);

// Any file that a person names, bounded; "-" is standard input.
Result<std::string> read_named_file(const std::string& path, size_t bytes_max = 1024 * 1024);

}  // namespace merlon::cli
