// Large things, beside the rows of the store: what is whole when it is kept, and named by its SHA-256; and
// what grows while it is written (recordings), named by its writer. A directory (open_blob_directory); the
// contract is tested by blob_contract.h, which an implementation over an object store joins.
//
// Names are of two to four parts of [a-z0-9._-], joined by '/', none beginning with a dot:
// "recordings/8f0e…". Content is "sha256/<64 hex digits>". Whoever keeps secrets seals them first: nothing
// here is encrypted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace merlon::store {

// What a write may take of the disk. A part of it is kept back, and is given up when the disk is full: to
// what is being written already, and to what is opened with `reserve`. Nothing else is begun until there is
// room again.
enum class BlobSpace { ordinary, reserve };

struct StoredBlob {
  std::string name;
  uint64_t size = 0;
};

// Of all of it, in bytes, whoever uses it.
struct BlobDisk {
  uint64_t free = 0;   // for us
  uint64_t whole = 0;  // 0: nobody knows
};

// One thing on its way in; dropped unfinished, nothing of it remains. Not thread-safe.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual Result<void> write(ByteView part) = 0;
  // Durable, and readable under its name from now on. Content that is there already is kept once.
  virtual Result<StoredBlob> finish() = 0;
};

// The end of a growing thing. One at a time for each name. Not thread-safe.
class BlobAppender {
 public:
  virtual ~BlobAppender() = default;
  // All of it or nothing. Readable at once, durable after sync().
  virtual Result<void> append(ByteView part) = 0;
  virtual uint64_t size() const = 0;
};

// Thread-safe. Errors: StorageFull (unavailable) when there is no room, BlobNotFound; what the disk refuses
// otherwise is internal and says which file.
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  virtual Result<std::unique_ptr<BlobWriter>> create(BlobSpace space) = 0;
  // Makes it when there is none; its name is durable when this returns.
  virtual Result<std::unique_ptr<BlobAppender>> append_to(const std::string& name, BlobSpace space) = 0;
  // What was appended is durable when this returns: one wait for all of them.
  virtual Result<void> sync(std::span<BlobAppender* const> appenders) = 0;

  // At most `length` bytes from `offset` on: fewer at the end, none beyond it.
  virtual Result<Bytes> read(const std::string& name, uint64_t offset, size_t length) = 0;
  virtual Result<std::optional<uint64_t>> size(const std::string& name) = 0;
  // Cuts what a crash has left in part. Durable.
  virtual Result<void> cut(const std::string& name, uint64_t size) = 0;
  // Gone already is as good. Durable.
  virtual Result<void> remove(const std::string& name) = 0;
  // Names of things in a folder, ascending, after `after`.
  virtual Result<std::vector<std::string>> list(const std::string& folder, const std::string& after,
                                                size_t limit) = 0;

  // Whether something new may be begun.
  virtual bool has_room(BlobSpace space) = 0;
  virtual BlobDisk disk() = 0;
  // Puts the reserve back once there is room: call it every few seconds.
  virtual void restore_reserve() = 0;
  // Of the place, made at its first use: a row that names it says where its blob lies.
  virtual const std::string& id() const = 0;
};

// Whether `name` is one, by the rule above.
bool is_blob_name(std::string_view name);

// `directory` is made, 0700, when it is not there. `id` is given to a new one.
Result<std::unique_ptr<BlobStore>> open_blob_directory(const std::string& directory, const std::string& id);
// Of a directory that nobody has open: from now on it is another place.
Result<void> rename_blob_directory(const std::string& directory, const std::string& id);

}  // namespace merlon::store
