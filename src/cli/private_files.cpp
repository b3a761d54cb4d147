// Reading and writing them with plain system calls, since modes and replacement in one step matter here.
#include "cli/private_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace merlon::cli {
namespace {

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

std::unexpected<Error> file_error(const std::string& what, const std::string& path) {
  return fail(ErrorKind::invalid, "FileError", what + " '" + path + "': " + std::strerror(errno) + ".");
}

Result<std::string> read_all(int descriptor, const std::string& path, size_t bytes_max) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("Could not read", path);
    if (count == 0) return text;
    if (text.size() + static_cast<size_t>(count) > bytes_max)
      return fail(ErrorKind::invalid, "FileTooLarge",
                  "The file '" + path + "' has more than " + std::to_string(bytes_max) +
                      " bytes. Is it the right one?");
    text.append(buffer, static_cast<size_t>(count));
  }
}

Result<void> write_all(int descriptor, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("Could not write", path);
    text.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> make_private_directory(const std::filesystem::path& directory) {
  if (directory.empty() || ::mkdir(directory.c_str(), 0700) == 0) return {};
  if (errno == ENOENT && directory.has_parent_path() && directory.parent_path() != directory) {
    TRY(make_private_directory(directory.parent_path()));
    if (::mkdir(directory.c_str(), 0700) == 0) return {};
  }
  if (errno == EEXIST) return {};
  return file_error("Could not make the directory", directory.string());
}

}  // namespace

Result<std::optional<std::string>> read_private_file(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return file_error("Could not open", path);
  }
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return file_error("Could not look at", path);
  if (facts.st_uid != ::geteuid())
    return fail(ErrorKind::forbidden, "FileNotYours",
                "The file '" + path +
                    "' belongs to somebody else, so it is not used. Remove it, then sign in "
                    "again.");
  if ((facts.st_mode & 077) != 0)
    return fail(ErrorKind::forbidden, "FileTooOpen",
                "The file '" + path + "' is open to others than you. Run 'chmod 600 " + path +
                    "', and change the secret in it if it may have been read.");
  return read_all(file.get(), path, 1024 * 1024);
}

Result<void> write_private_file(const std::string& path, const std::string& text) {
  TRY(make_private_directory(std::filesystem::path(path).parent_path()));
  std::string temporary = path + ".XXXXXX";
  const File file(::mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (file.get() < 0) return file_error("Could not make a file beside", path);
  const auto written = [&]() -> Result<void> {
    TRY(write_all(file.get(), temporary, text));
    if (::fsync(file.get()) != 0) return file_error("Could not write", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return file_error("Could not replace", path);
    return {};
  }();
  if (!written) ::unlink(temporary.c_str());
  return written;
}

Result<bool> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return file_error("Could not remove", path);
}

Result<std::string> read_named_file(const std::string& path, size_t bytes_max) {
  if (path == "-") return read_all(STDIN_FILENO, path, bytes_max);
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return file_error("Could not open", path);
  return read_all(file.get(), path, bytes_max);
}

}  // namespace merlon::cli
