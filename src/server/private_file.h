// Files that a server leaves in its state directory for people and clients: written whole or not at all.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace merlon::server {

enum class FileReaders { owner, everybody };  // 0600, 0644

struct FileOwner {
  uid_t user = 0;
  gid_t group = 0;
};

// `owner`: given the file before it has its name, so that nobody who may write the directory can put a link
// to another file in its place.
Result<void> write_private_file(const std::string& path, const std::string& text, FileReaders readers,
                                std::optional<FileOwner> owner = std::nullopt);

}  // namespace merlon::server
