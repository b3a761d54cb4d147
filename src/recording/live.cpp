// Events become lines at once, lines become chunks when there are enough of them or when it is time.
#include "recording/live.h"

#include "base/log.h"

namespace merlon::recording {
namespace {

constexpr size_t kChunkTextBytes = 64 * 1024;
constexpr size_t kPieceBytes = 32 * 1024;  // of output in one event
constexpr Duration kWatchedFlush = std::chrono::milliseconds(150);

}  // namespace

Live::Live(Record record_in, Secret key_in, std::unique_ptr<store::BlobAppender> data_in,
           std::unique_ptr<store::BlobAppender> index_in, Duration started)
    : id(record_in.id),
      record(std::move(record_in)),
      key(std::move(key_in)),
      data(std::move(data_in)),
      index(std::move(index_in)),
      index_key_(index_key(key)),
      started_(started) {
  CastHeader header;
  header.cols = record.cols;
  header.rows = record.rows;
  header.title = record.title;
  header.signed_in_by = record.signed_in_by;
  header.timestamp_s =
      std::chrono::duration_cast<std::chrono::seconds>(record.started.time_since_epoch()).count();
  buffer_ = header_line(header, CastForm::v3);
  buffer_since_ = started;
}

Result<void> Live::check() const {
  if (failure) return std::unexpected(*failure);
  if (ended) return fail(ErrorKind::conflict, "RecordingEnded", "The recording " + id.text() + " has ended.");
  return {};
}

Duration Live::step(Duration now) {
  if (buffer_.empty()) buffer_since_ = now;
  const Duration before = last_event_;
  last_event_ = std::max(last_event_, told_time.value_or(now - started_));
  return last_event_ - before;
}

Result<void> Live::added(Duration, Random& random) {
  if (buffer_.size() < kChunkTextBytes) return {};
  return cut(ChunkKind::data, random);
}

Result<void> Live::put(char code, const Utf8Stream::Piece& piece, Duration now, Random& random) {
  if (piece.text.empty()) return {};
  append_piece(buffer_, step(now), code, piece.text, piece.bytes);
  if (code == 'i')
    segment_.input(piece.text, data->size());
  else
    segment_.output(piece.text, data->size());
  return added(now, random);
}

Result<void> Live::output(std::string_view bytes, Duration now, Random& random) {
  TRY(check());
  while (!bytes.empty()) {
    TRY(put('o', text_.push(bytes.substr(0, kPieceBytes)), now, random));
    bytes.remove_prefix(std::min(bytes.size(), kPieceBytes));
  }
  return {};
}

Result<void> Live::input(std::string_view bytes, Duration now, Random& random) {
  TRY(check());
  while (!bytes.empty()) {
    TRY(put('i', typed_.push(bytes.substr(0, kPieceBytes)), now, random));
    bytes.remove_prefix(std::min(bytes.size(), kPieceBytes));
  }
  return {};
}

Result<void> Live::event(char code, std::string_view bytes, Duration now, Random& random) {
  TRY(check());
  append_event(buffer_, step(now), code, bytes);
  return added(now, random);
}

bool Live::is_due(Duration now, Duration flush_every) const {
  if (buffer_.empty() || failure || ended) return false;
  return now - buffer_since_ >= (now < watched_until ? std::min(kWatchedFlush, flush_every) : flush_every);
}

Result<void> Live::finish_text(Duration now, Random& random) {
  TRY(put('i', typed_.finish(), now, random));
  return put('o', text_.finish(), now, random);
}

Result<void> Live::cut(ChunkKind kind, Random& random) {
  if (buffer_.empty() && kind == ChunkKind::data) return {};
  const ChunkHeader header{kind, chunks, chunk_from_, last_event_, head};
  const Bytes chunk = seal_chunk(key, id, header, buffer_, random);
  if (auto done = data->append(chunk); !done) {
    failure = done.error();
    return done;
  }
  head = hash_chunk(id, ByteView(chunk).subspan(4));
  ++chunks;
  unsynced = true;
  chunk_from_ = last_event_;
  buffer_.clear();
  if (segment_.is_full()) write_segment(random);
  return {};
}

void Live::write_segment(Random& random) {
  if (index_failed_) return;
  const Bytes segment = seal_segment(index_key_, id, segments_, segment_.cut(data->size()), random);
  if (auto done = index->append(segment); !done) {
    index_failed_ = true;  // what has no index is searched itself
    log_error("the index of a recording goes on no further", done.error(), {{"recording", id.text()}});
    return;
  }
  ++segments_;
}

void Live::finish_index(Random& random) {
  if (!segment_.is_empty()) write_segment(random);
}

}  // namespace merlon::recording
