// Chunks in and out of bytes.
#include "recording/chunks.h"

#include <fmt/format.h>

#include <algorithm>

#include "crypto/aead.h"
#include "crypto/digest_stream.h"

namespace merlon::recording {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kSizeBytes = 4;
constexpr size_t kHeaderBytes = 2 + 3 * 8 + 32;
constexpr size_t kAheadBytes = 256 * 1024;

void put_number(Bytes& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

uint64_t number_at(ByteView bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= static_cast<uint64_t>(bytes[at + i]) << (8 * i);
  return value;
}

Bytes header_bytes(const ChunkHeader& header) {
  Bytes out;
  out.push_back(kVersion);
  out.push_back(static_cast<uint8_t>(header.kind));
  put_number(out, header.number, 8);
  put_number(out, static_cast<uint64_t>(header.from.count()), 8);
  put_number(out, static_cast<uint64_t>(header.until.count()), 8);
  out.insert(out.end(), header.previous.begin(), header.previous.end());
  return out;
}

Bytes context(const Uuid& recording, ByteView header) {
  Bytes out = to_bytes("merlon.recording.v1\n" + recording.text() + "\n");
  out.insert(out.end(), header.begin(), header.end());
  return out;
}

std::unexpected<Error> damaged(std::string what, std::string_view code = "RecordingDamaged") {
  return fail(ErrorKind::conflict, code, std::move(what));
}

}  // namespace

Bytes seal_chunk(const Secret& key, const Uuid& recording, const ChunkHeader& header, std::string_view text,
                 Random& random) {
  const Bytes head = header_bytes(header);
  const Bytes sealed = crypto::aead_seal(key, as_bytes(text), context(recording, head), random);
  Bytes out;
  out.reserve(kSizeBytes + head.size() + sealed.size());
  put_number(out, head.size() + sealed.size(), kSizeBytes);
  out.insert(out.end(), head.begin(), head.end());
  out.insert(out.end(), sealed.begin(), sealed.end());
  return out;
}

Result<ChunkHeader> parse_chunk(ByteView body) {
  if (body.size() < kHeaderBytes || body[0] != kVersion || body[1] > 1)
    return damaged("It holds something that is no chunk of a recording.");
  ChunkHeader header;
  header.kind = static_cast<ChunkKind>(body[1]);
  header.number = number_at(body, 2, 8);
  const uint64_t from = number_at(body, 10, 8);
  const uint64_t until = number_at(body, 18, 8);
  if (from > until || until > (uint64_t{1} << 42U)) return damaged("A chunk's times are impossible.");
  header.from = Duration(static_cast<int64_t>(from));
  header.until = Duration(static_cast<int64_t>(until));
  std::copy_n(body.begin() + 26, header.previous.size(), header.previous.begin());
  return header;
}

ChunkHash hash_chunk(const Uuid& recording, ByteView body) {
  crypto::Sha256Stream digest;
  digest.add(as_bytes("merlon.recording.chunk.v1\n" + recording.text() + "\n"));
  digest.add(body);
  return digest.finish();
}

Result<Secret> open_chunk(const Secret& key, const Uuid& recording, const Chunk& chunk) {
  const ByteView body = chunk.body;
  auto text =
      crypto::aead_open(key, body.subspan(kHeaderBytes), context(recording, body.first(kHeaderBytes)));
  if (!text)
    return damaged(fmt::format("Chunk {} does not open: it was changed, or comes from another recording.",
                               chunk.header.number));
  return text;
}

ReadAt read_blob(store::BlobStore& blobs, std::string name) {
  return [&blobs, name = std::move(name)](uint64_t offset, size_t length) {
    return blobs.read(name, offset, length);
  };
}

Result<void> ChunkReader::check_magic() {
  const ByteView begin = TRY(bytes_at(0, kFileMagic.size()));
  if (as_text(begin) != kFileMagic) return damaged("Its file does not begin as a recording's does.");
  return {};
}

Result<std::optional<Chunk>> ChunkReader::next() {
  const ByteView head = TRY(bytes_at(offset_, kSizeBytes));
  if (head.empty()) return std::optional<Chunk>();
  if (head.size() < kSizeBytes) return damaged("It ends within a chunk.", "ChunkCut");
  const auto size = static_cast<size_t>(number_at(head, 0, kSizeBytes));
  if (size < kHeaderBytes || size > kChunkBytesMax)
    return damaged(fmt::format("At byte {} there is no chunk.", offset_));
  const ByteView body = TRY(bytes_at(offset_ + kSizeBytes, size));
  if (body.size() < size) return damaged("It ends within a chunk.", "ChunkCut");
  Chunk chunk;
  chunk.header = TRY(parse_chunk(body));
  chunk.body.assign(body.begin(), body.end());
  chunk.offset = offset_;
  offset_ = chunk.end();
  return std::optional(std::move(chunk));
}

Result<ByteView> ChunkReader::bytes_at(uint64_t offset, size_t length) {
  if (offset < ahead_at_ || offset + length > ahead_at_ + ahead_.size()) {
    ahead_ = TRY(read_(offset, std::max(length, kAheadBytes)));
    ahead_at_ = offset;
  }
  const ByteView all = ahead_;
  const auto at = static_cast<size_t>(offset - ahead_at_);
  return all.subspan(at, std::min(length, all.size() - at));
}

}  // namespace merlon::recording
