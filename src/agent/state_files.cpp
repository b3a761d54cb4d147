// Files of the state directory, straight on Linux's system calls.
#include "agent/state_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace merlon::agent {
namespace {

constexpr size_t kFileBytesMax = 16 * 1024 * 1024;
constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;

std::unexpected<Error> refuse(const std::string& what, int error_number, const std::string& advice) {
  return fail(ErrorKind::unavailable, "AgentState",
              what + ": " + std::strerror(error_number) + ". " + advice);
}

Result<void> sync_directory(const std::string& path) {
  const store::FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0)
    return refuse("The state directory " + path + " could not be written to the disk", errno,
                  "Check the disk.");
  return {};
}

}  // namespace

Result<StateFiles> StateFiles::open(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return refuse("The state directory " + path + " cannot be used", errno,
                  "Enrol this machine first: merlon agent enrol --state " + path);
  if (!S_ISDIR(status.st_mode))
    return refuse("The state directory " + path + " cannot be used", ENOTDIR, "Name a directory.");
  if (status.st_uid != ::geteuid() || (status.st_mode & kOthersMayWrite) != 0)
    return fail(
        ErrorKind::unavailable, "AgentState",
        "The state directory " + path +
            " can be written by others, who could then decide what the firewall does. Run: chown root " +
            path + " && chmod 0700 " + path);
  return StateFiles(path);
}

Result<StateFiles> StateFiles::create(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return refuse("The state directory " + path + " could not be made", errno,
                  "Make the directory above it, or name another with --state.");
  return open(path);
}

bool StateFiles::has(std::string_view name) const { return ::access(place(name).c_str(), F_OK) == 0; }

Result<std::string> StateFiles::read(std::string_view name) const {
  const store::FileDescriptor descriptor(::open(place(name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (descriptor.get() < 0 && errno == ENOENT)
    return fail(ErrorKind::not_found, "AgentState", "The file " + place(name) + " is missing.");
  if (descriptor.get() < 0)
    return refuse("The file " + place(name) + " could not be read", errno, "Check its owner.");
  std::string content;
  std::string part(64 * 1024, '\0');
  while (content.size() <= kFileBytesMax) {
    const ssize_t size = ::read(descriptor.get(), part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return refuse("The file " + place(name) + " could not be read", errno, "Check the disk.");
    if (size == 0) return content;
    content.append(part, 0, static_cast<size_t>(size));
  }
  return refuse("The file " + place(name) + " could not be read", EFBIG, "It is none of the agent's.");
}

Result<JsonObject> StateFiles::read_json(std::string_view name) const {
  auto json = parse_json_object(TRY(read(name)), {.bytes_max = kFileBytesMax});
  if (!json)
    json.error().message = "The file " + place(name) + " cannot be understood: " + json.error().message;
  return json;
}

Result<void> StateFiles::write(std::string_view name, std::string_view content) const {
  const std::string whole = place(name);
  const std::string fresh = whole + ".new";
  const std::string advice = "Check that the disk has room.";
  {
    const store::FileDescriptor descriptor(
        ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (descriptor.get() < 0) return refuse("The file " + fresh + " could not be made", errno, advice);
    while (!content.empty()) {
      const ssize_t size = ::write(descriptor.get(), content.data(), content.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return refuse("The file " + fresh + " could not be written", errno, advice);
      content.remove_prefix(static_cast<size_t>(size));
    }
    if (::fsync(descriptor.get()) != 0)
      return refuse("The file " + fresh + " could not be written", errno, advice);
  }
  if (::rename(fresh.c_str(), whole.c_str()) != 0)
    return refuse("The file " + whole + " could not be replaced", errno, advice);
  return sync_directory(path_);
}

Result<void> StateFiles::write_json(std::string_view name, const JsonObject& json) const {
  return write(name, to_text(json) + "\n");
}

Result<void> StateFiles::remove(std::string_view name) const {
  if (::unlink(place(name).c_str()) != 0) {
    if (errno == ENOENT) return {};
    return refuse("The file " + place(name) + " could not be removed", errno, "Remove it by hand.");
  }
  return sync_directory(path_);
}

Result<bool> StateFiles::take_lock() {
  store::FileDescriptor descriptor(::open(place("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (descriptor.get() < 0)
    return refuse("The file " + place("lock") + " could not be made", errno, "Check the disk.");
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    return refuse("The file " + place("lock") + " could not be locked", errno, "Use a local file system.");
  }
  lock_ = std::move(descriptor);
  return true;
}

}  // namespace merlon::agent
