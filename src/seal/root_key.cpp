// POSIX file work: checks are made on the open descriptor, never on the path, so that nothing can be swapped
// in between.
#include "seal/root_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "crypto/aead.h"

namespace merlon::seal {
namespace {

constexpr size_t kRootKeyBytes = crypto::kAes256KeyBytes;
constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  bool is_open() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// What reading leaves on the stack is wiped with it.
struct KeyBuffer {
  std::array<uint8_t, kRootKeyBytes + 1> bytes{};
  KeyBuffer() = default;
  KeyBuffer(const KeyBuffer&) = delete;
  KeyBuffer& operator=(const KeyBuffer&) = delete;
  ~KeyBuffer() { ::explicit_bzero(bytes.data(), bytes.size()); }
};

std::unexpected<Error> refused(const std::string& path, std::string why) {
  return fail(ErrorKind::unavailable, "RootKeyRefused", "The root key '" + path + "' " + std::move(why),
              path);
}

std::unexpected<Error> failed(const std::string& path, const char* doing, int code) {
  return refused(path, std::string("could not be ") + doing + ": " + std::strerror(code) +
                           ". Correct that, then start Merlon again.");
}

Result<void> check_file(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode))
    return refused(path, "is not a regular file. Name the key file with --root-key.");
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return refused(path, "is open to other users of this machine. Take their access away (chmod 600 '" +
                             path + "'), and consider the key known to them.");
  }
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    return refused(path, "belongs to another user. Give it to the user that runs Merlon (chown).");
  return {};
}

Result<size_t> read_up_to(const std::string& path, int descriptor, std::span<uint8_t> out) {
  size_t used = 0;
  while (used < out.size()) {
    const ssize_t got = ::read(descriptor, out.data() + used, out.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, "read", errno);
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  return used;
}

Result<void> sync_directory_of(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory = ".";
  const File folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || ::fsync(folder.get()) != 0) return failed(path, "flushed to the disk", errno);
  return {};
}

Result<void> write_and_sync(const std::string& path, int descriptor, ByteView bytes) {
  // The umask may have taken bits away, but can not have added any.
  if (::fchmod(descriptor, kOwnerOnly) != 0) return failed(path, "protected", errno);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed(path, "written", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  if (::fsync(descriptor) != 0) return failed(path, "flushed to the disk", errno);
  return sync_directory_of(path);
}

Result<void> write_new_key(const std::string& path, const Secret& key) {
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kOwnerOnly));
  if (!file.is_open()) return failed(path, "created", errno);
  if (auto written = write_and_sync(path, file.get(), key.expose()); !written) {
    ::unlink(path.c_str());  // ours since O_EXCL; nothing was sealed with it
    return written;
  }
  return {};
}

}  // namespace

Result<std::optional<Secret>> read_root_key(const std::string& path, bool nothing_sealed) {
  // NONBLOCK: a FIFO in the key's place must not hang the start.
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.is_open() && errno == ENOENT) return std::optional<Secret>();
  if (!file.is_open()) return failed(path, "opened", errno);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return failed(path, "examined", errno);
  TRY(check_file(path, info));
  KeyBuffer buffer;
  const size_t used = TRY(read_up_to(path, file.get(), buffer.bytes));
  if (used != kRootKeyBytes) {
    return refused(
        path, "does not hold exactly 32 bytes. " +
                  std::string(nothing_sealed
                                  ? "No secret was sealed with it yet: delete it, and the next start makes a "
                                    "new one."
                                  : "Put the original file back."));
  }
  return std::optional(Secret(Bytes(buffer.bytes.begin(), buffer.bytes.begin() + kRootKeyBytes)));
}

Result<Secret> create_root_key(const std::string& path, Random& random) {
  Secret key(random.bytes(kRootKeyBytes));
  TRY(write_new_key(path, key));
  return key;
}

std::string next_root_key_path(const std::string& path) { return path + ".next"; }

Result<void> put_next_root_key(const std::string& path, const Secret& key) {
  const std::string next = next_root_key_path(path);
  if (::unlink(next.c_str()) != 0 && errno != ENOENT) return failed(next, "removed", errno);
  return write_new_key(next, key);
}

Result<std::string> adopt_next_root_key(const std::string& path, const std::string& time) {
  const std::string next = next_root_key_path(path);
  // A repeated step finds the new key in place already, and no other.
  if (::access(next.c_str(), F_OK) != 0 && errno == ENOENT) return std::string();
  std::string retired = path + ".until-" + time;
  if (::link(path.c_str(), retired.c_str()) != 0) {
    if (errno != ENOENT && errno != EEXIST) return failed(retired, "created", errno);
    if (errno == ENOENT) retired.clear();
  }
  if (::rename(next.c_str(), path.c_str()) != 0 && errno != ENOENT) return failed(next, "renamed", errno);
  TRY(sync_directory_of(path));
  return retired;
}

Result<std::string> retire_root_key(const std::string& path, const std::string& time) {
  std::string retired = path + ".until-" + time;
  if (::rename(path.c_str(), retired.c_str()) != 0) return failed(path, "renamed", errno);
  TRY(sync_directory_of(path));
  return retired;
}

}  // namespace merlon::seal
