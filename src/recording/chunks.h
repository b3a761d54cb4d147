// A recording's file: eight bytes that say so, then chunks, each a piece of the asciicast text sealed with
// AES-256-GCM under the recording's own key.
//
//   file  = "MERLREC1" *chunk
//   chunk = size(4, little endian) body
//   body  = version(1) kind(1) number(8) from(8) until(8) previous(32) sealed      integers little endian
//
// `previous` is the hash of the chunk before: SHA-256 over the recording's id and its whole body. Recording,
// number, times and previous hash are the sealed part's associated data, so a chunk opens in its own place
// alone; the hashes can be followed without the key, to what the ledger says of them (verify.h).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "crypto/digest.h"
#include "store/blob_store.h"

namespace merlon::recording {

using ChunkHash = crypto::Sha256Digest;

inline constexpr std::string_view kFileMagic = "MERLREC1";
inline constexpr size_t kChunkBytesMax = 4 * 1024 * 1024;

enum class ChunkKind : uint8_t { data = 0, last = 1 };

struct ChunkHeader {
  ChunkKind kind = ChunkKind::data;
  uint64_t number = 0;
  Duration from{0};   // since the start: of the last event before this chunk
  Duration until{0};  // … of the last event in it
  ChunkHash previous{};
};

struct Chunk {
  ChunkHeader header;
  Bytes body;
  uint64_t offset = 0;  // in the file, of its size
  uint64_t end() const { return offset + 4 + body.size(); }
};

// Size and body, as they stand in the file.
Bytes seal_chunk(const Secret& key, const Uuid& recording, const ChunkHeader& header, std::string_view text,
                 Random& random);
// Only the form of the body is checked.
Result<ChunkHeader> parse_chunk(ByteView body);
ChunkHash hash_chunk(const Uuid& recording, ByteView body);
Result<Secret> open_chunk(const Secret& key, const Uuid& recording, const Chunk& chunk);

// At most `length` bytes of a recording's file from `offset` on: fewer at its end alone.
using ReadAt = std::function<Result<Bytes>(uint64_t offset, size_t length)>;
ReadAt read_blob(store::BlobStore& blobs, std::string name);

// Reads chunk after chunk. Errors: RecordingDamaged, saying where; a file that ends within a chunk is
// ChunkCut.
class ChunkReader {
 public:
  explicit ChunkReader(ReadAt read, uint64_t offset = kFileMagic.size())
      : read_(std::move(read)), offset_(offset) {}
  Result<void> check_magic();
  Result<std::optional<Chunk>> next();  // nothing at the end
  uint64_t offset() const { return offset_; }

 private:
  Result<ByteView> bytes_at(uint64_t offset, size_t length);

  const ReadAt read_;
  uint64_t offset_;
  Bytes ahead_;  // read in larger pieces
  uint64_t ahead_at_ = 0;
};

}  // namespace merlon::recording
