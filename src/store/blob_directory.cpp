// Blobs as files, on Linux's system calls:
//
//   id                        of this place
//   reserve                   space that is given up when the disk is full
//   incoming/                 unfinished content; emptied at the start
//   sha256/ab/abcdef…         content
//   recordings/8f0e…          what grows, under the names of its writers
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/log.h"
#include "base/text.h"
#include "crypto/digest_stream.h"
#include "store/blob_store.h"
#include "store/state_directory.h"

namespace merlon::store {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kReserveLeast = uint64_t{4} << 20U;
constexpr uint64_t kReserveMost = uint64_t{64} << 20U;
constexpr uint64_t kReservePart = 64;  // of the disk
constexpr size_t kNamePartsMax = 4;
constexpr size_t kNameBytesMax = 200;
constexpr std::string_view kContentFolder = "sha256/";
constexpr std::string_view kIncoming = "incoming";

std::unexpected<Error> failed(const std::string& path, int error_number) {
  if (error_number == ENOSPC || error_number == EDQUOT)
    return fail(ErrorKind::unavailable, "StorageFull",
                "The disk of " + path + " is full. Make room on it, then try again.", path);
  return internal_error("blob file " + path + ": " + std::strerror(error_number));
}

std::unexpected<Error> not_found(const std::string& name) {
  return fail(ErrorKind::not_found, "BlobNotFound", "There is no stored object '" + name + "'.", name);
}

Result<void> sync_directory(const std::string& path) {
  const FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.get()) != 0) return failed(path, errno);
  return {};
}

// The folders of a file's path, each durable in the one above it.
Result<void> make_folders(const std::string& root, const std::string& name) {
  std::string path = root;
  const auto parts = split(name, '/');
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string above = path;
    path += "/" + std::string(parts[i]);
    if (::mkdir(path.c_str(), 0700) == 0) {
      TRY(sync_directory(above));
    } else if (errno != EEXIST) {
      return failed(path, errno);
    }
  }
  return {};
}

Result<void> write_all(int file, ByteView bytes, uint64_t at, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return failed(path, errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
    at += static_cast<uint64_t>(done);
  }
  return {};
}

// The space that is kept back, as a file that owns its blocks.
class Reserve {
 public:
  explicit Reserve(std::string directory) : directory_(std::move(directory)) {}

  // Taken when the first thing is kept here: a place that nobody uses costs nothing.
  void take() {
    if (!taken_.exchange(true)) restore();
  }

  // True when there was one to give.
  bool release() {
    const std::lock_guard lock(mutex_);
    spent_ = true;
    if (::unlink(path().c_str()) != 0) return false;
    log(LogLevel::error,
        "THE DISK OF THE RECORDINGS IS FULL: the reserve is released to those that run, and no new one "
        "begins "
        "but an administrator's",
        {{"directory", directory_}});
    return true;
  }

  void restore() {
    const std::lock_guard lock(mutex_);
    struct stat status{};
    if (::lstat(path().c_str(), &status) == 0) {
      if (S_ISREG(status.st_mode) && status.st_blocks * 512 >= status.st_size && status.st_size > 0) {
        spent_ = false;
        return;
      }
      ::unlink(path().c_str());
    }
    const BlobDisk disk = facts();
    const uint64_t bytes = std::clamp(disk.whole / kReservePart, kReserveLeast, kReserveMost);
    if (disk.free < 2 * bytes) {
      spent_ = true;
      return;
    }
    const FileDescriptor file(
        ::open(path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open() || ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)) != 0) {
      ::unlink(path().c_str());
      spent_ = true;
      return;
    }
    spent_ = false;
  }

  bool is_missed() const { return taken_ && spent_; }

  // New things stop while there is still some room besides the reserve: what runs has longer then.
  bool takes_new() const {
    const BlobDisk disk = facts();
    return !spent_ && disk.free > std::clamp(disk.whole / kReservePart, kReserveLeast, kReserveMost) / 4;
  }
  BlobDisk facts() const {
    struct statvfs disk{};
    if (::statvfs(directory_.c_str(), &disk) != 0) return {};
    return {disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize};
  }
  bool has_any() const { return facts().free > 64 * 1024 || !spent_; }

 private:
  std::string path() const { return directory_ + "/reserve"; }

  const std::string directory_;
  std::mutex mutex_;
  std::atomic<bool> taken_ = false;
  std::atomic<bool> spent_ = false;
};

class FileAppender final : public BlobAppender {
 public:
  FileAppender(FileDescriptor file, std::string path, uint64_t size, Reserve& reserve)
      : file_(std::move(file)), path_(std::move(path)), size_(size), reserve_(reserve) {}

  Result<void> append(ByteView part) override {
    auto done = write_all(file_.get(), part, size_, path_);
    if (!done && done.error().code == "StorageFull" && reserve_.release())
      done = write_all(file_.get(), part, size_, path_);
    if (!done) {
      // What is left of it goes; should that fail too, the next append writes over it.
      if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0)
        log(LogLevel::error, "a half-written part could not be taken back", {{"file", path_}});
      return done;
    }
    size_ += part.size();
    return {};
  }
  uint64_t size() const override { return size_; }

  int descriptor() const { return file_.get(); }
  const std::string& path() const { return path_; }

 private:
  FileDescriptor file_;
  const std::string path_;
  uint64_t size_;
  Reserve& reserve_;
};

class ContentWriter final : public BlobWriter {
 public:
  ContentWriter(FileDescriptor file, std::string root, std::string path)
      : file_(std::move(file)), root_(std::move(root)), path_(std::move(path)) {}
  ~ContentWriter() override {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  Result<void> write(ByteView part) override {
    TRY(write_all(file_.get(), part, size_, path_));
    size_ += part.size();
    digest_.add(part);
    return {};
  }

  Result<StoredBlob> finish() override {
    const std::string hex = to_hex(digest_.finish());
    const std::string inner = std::string(kContentFolder) + hex.substr(0, 2) + "/" + hex;
    if (::fsync(file_.get()) != 0) return failed(path_, errno);
    TRY(make_folders(root_, inner));
    const std::string target = root_ + "/" + inner;
    if (::rename(path_.c_str(), target.c_str()) != 0) return failed(target, errno);
    path_.clear();
    TRY(sync_directory(target.substr(0, target.rfind('/'))));
    return StoredBlob{std::string(kContentFolder) + hex, size_};
  }

 private:
  FileDescriptor file_;
  const std::string root_;
  std::string path_;  // until it has its name
  uint64_t size_ = 0;
  crypto::Sha256Stream digest_;
};

class BlobDirectory final : public BlobStore {
 public:
  BlobDirectory(std::string root, std::string id)
      : root_(std::move(root)), id_(std::move(id)), reserve_(root_) {}

  Result<std::unique_ptr<BlobWriter>> create(BlobSpace space) override {
    TRY(require_room(space));
    const std::string path = fmt::format("{}/incoming/{}", root_, next_.fetch_add(1));
    FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open()) return failed(path, errno);
    return std::make_unique<ContentWriter>(std::move(file), root_, path);
  }

  Result<std::unique_ptr<BlobAppender>> append_to(const std::string& name, BlobSpace space) override {
    const std::string path = TRY(path_of(name));
    FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!file.is_open()) {
      TRY(require_room(space));
      TRY(make_folders(root_, name));
      file = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
      if (!file.is_open()) return failed(path, errno);
      TRY(sync_directory(path.substr(0, path.rfind('/'))));
    }
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return failed(path, errno);
    return std::make_unique<FileAppender>(std::move(file), path, static_cast<uint64_t>(status.st_size),
                                          reserve_);
  }

  // First the writing is begun for all, then each is waited for: the first wait commits the file system's
  // journal for the others too. Not syncfs(2): that waits for whatever else is being written on the disk.
  Result<void> sync(std::span<BlobAppender* const> appenders) override {
    if (appenders.size() > 1)
      for (BlobAppender* appender : appenders)
        ::sync_file_range(dynamic_cast<const FileAppender&>(*appender).descriptor(), 0, 0,
                          SYNC_FILE_RANGE_WRITE);
    for (BlobAppender* appender : appenders) {
      const auto& file = dynamic_cast<const FileAppender&>(*appender);
      if (::fdatasync(file.descriptor()) != 0) return failed(file.path(), errno);
    }
    return {};
  }

  Result<Bytes> read(const std::string& name, uint64_t offset, size_t length) override {
    const std::string path = TRY(path_of(name));
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.is_open()) return errno == ENOENT ? Result<Bytes>(not_found(name)) : failed(path, errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return failed(path, errno);
    const auto size = static_cast<uint64_t>(status.st_size);
    Bytes bytes(offset >= size ? 0 : static_cast<size_t>(std::min<uint64_t>(length, size - offset)));
    size_t have = 0;
    while (have < bytes.size()) {
      const ssize_t got =
          ::pread(file.get(), bytes.data() + have, bytes.size() - have, static_cast<off_t>(offset + have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed(path, errno);
      if (got == 0) break;
      have += static_cast<size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }

  Result<std::optional<uint64_t>> size(const std::string& name) override {
    const std::string path = TRY(path_of(name));
    struct stat status{};
    if (::lstat(path.c_str(), &status) == 0) return std::optional(static_cast<uint64_t>(status.st_size));
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<uint64_t>();
    return failed(path, errno);
  }

  Result<void> cut(const std::string& name, uint64_t size) override {
    const std::string path = TRY(path_of(name));
    const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!file.is_open()) return errno == ENOENT ? Result<void>(not_found(name)) : failed(path, errno);
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0 || ::fsync(file.get()) != 0)
      return failed(path, errno);
    return {};
  }

  Result<void> remove(const std::string& name) override {
    const std::string path = TRY(path_of(name));
    if (::unlink(path.c_str()) != 0) return errno == ENOENT ? Result<void>() : failed(path, errno);
    return sync_directory(path.substr(0, path.rfind('/')));
  }

  Result<std::vector<std::string>> list(const std::string& folder, const std::string& after,
                                        size_t limit) override {
    if (!is_blob_name(folder + "/any")) return not_found(folder);
    std::vector<std::string> names;
    std::error_code error;
    for (auto it = fs::directory_iterator(root_ + "/" + folder, error);
         !error && it != fs::directory_iterator(); it.increment(error)) {
      std::string name = folder + "/" + it->path().filename().string();
      if (name > after && it->is_regular_file(error)) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    if (names.size() > limit) names.resize(limit);
    return names;
  }

  bool has_room(BlobSpace space) override {
    return space == BlobSpace::ordinary ? reserve_.takes_new() : reserve_.has_any();
  }
  BlobDisk disk() override { return reserve_.facts(); }
  void restore_reserve() override {
    if (reserve_.is_missed()) reserve_.restore();
  }
  const std::string& id() const override { return id_; }

 private:
  Result<std::string> path_of(const std::string& name) const {
    if (!is_blob_name(name)) return not_found(name);
    if (!name.starts_with(kContentFolder)) return root_ + "/" + name;
    const std::string hex = name.substr(kContentFolder.size());
    if (hex.size() != 64 || !from_hex(hex)) return not_found(name);
    return fmt::format("{}/{}{}/{}", root_, kContentFolder, hex.substr(0, 2), hex);
  }
  Result<void> require_room(BlobSpace space) {
    reserve_.take();
    if (has_room(space)) return {};
    if (space == BlobSpace::reserve && reserve_.release()) return {};
    return failed(root_, ENOSPC);
  }

  const std::string root_;
  const std::string id_;
  Reserve reserve_;
  std::atomic<uint64_t> next_ = 0;
};

Result<void> write_id(const std::string& directory, const std::string& id) {
  const std::string path = directory + "/id", next = path + ".next";
  ::unlink(next.c_str());
  const FileDescriptor file(::open(next.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return failed(next, errno);
  TRY(write_all(file.get(), as_bytes(id), 0, next));
  if (::fsync(file.get()) != 0 || ::rename(next.c_str(), path.c_str()) != 0) return failed(path, errno);
  return sync_directory(directory);
}

Result<std::string> own_id(const std::string& directory, const std::string& given) {
  const std::string path = directory + "/id";
  const FileDescriptor known(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (known.is_open()) {
    std::string text(64, '\0');
    const ssize_t got = ::read(known.get(), text.data(), text.size());
    if (got > 0) return std::string(trim(text.substr(0, static_cast<size_t>(got))));
  }
  TRY(write_id(directory, given));
  return given;
}

}  // namespace

bool is_blob_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  const auto parts = split(name, '/');
  return parts.size() >= 2 && parts.size() <= kNamePartsMax && parts.front() != kIncoming &&
         std::ranges::all_of(parts, [](std::string_view part) {
           return !part.empty() && part.front() != '.' && std::ranges::all_of(part, [](char c) {
             return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
           });
         });
}

Result<void> rename_blob_directory(const std::string& directory, const std::string& id) {
  return write_id(directory, id);
}

Result<std::unique_ptr<BlobStore>> open_blob_directory(const std::string& directory, const std::string& id) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return failed(directory, error.value());
  if (::chmod(directory.c_str(), 0700) != 0) return failed(directory, errno);
  fs::remove_all(directory + "/incoming", error);
  if (::mkdir((directory + "/incoming").c_str(), 0700) != 0) return failed(directory + "/incoming", errno);
  return std::make_unique<BlobDirectory>(directory, TRY(own_id(directory, id)));
}

}  // namespace merlon::store
