// Files that a server leaves in its state directory for people and clients: written whole or not at all.
#pragma once

#include <string>

#include "base/result.h"

namespace merlon::server {

enum class FileReaders { owner, everybody };  // 0600, 0644

Result<void> write_private_file(const std::string& path, const std::string& text, FileReaders readers);

}  // namespace merlon::server
