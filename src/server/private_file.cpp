// Write beside, flush, rename: a reader sees the old file or the new one.
#include "server/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <tuple>

namespace merlon::server {
namespace {

std::unexpected<Error> cannot_write(const std::string& path) {
  return fail(ErrorKind::unavailable, "StateNotWritable",
              "The file " + path + " could not be written: " + std::strerror(errno) +
                  ". Check the state directory's owner, mode and free space.");
}

}  // namespace

Result<void> write_private_file(const std::string& path, const std::string& text, FileReaders readers,
                                std::optional<FileOwner> owner) {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  const mode_t mode = readers == FileReaders::owner ? 0600 : 0644;
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (file < 0) return cannot_write(path);
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(file, text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    written += static_cast<size_t>(count);
  }
  // Where it cannot be given away the writer keeps it.
  if (owner) std::ignore = ::fchown(file, owner->user, owner->group);
  const bool whole = written == text.size() && ::fchmod(file, mode) == 0 && ::fsync(file) == 0;
  ::close(file);
  if (!whole || ::rename(beside.c_str(), path.c_str()) != 0) return cannot_write(path);
  return {};
}

}  // namespace merlon::server
