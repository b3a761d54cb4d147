// A recording that is being written: from events to chunks in its file. Not for other rooms: recordings.h is
// theirs.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "recording/asciicast.h"
#include "recording/rate.h"
#include "recording/records.h"
#include "recording/segment_index.h"

namespace merlon::recording {

// Every member under `mutex`, but `id`, and `end_failed`, which is tick()'s.
class Live {
 public:
  Live(Record record_in, Secret key_in, std::unique_ptr<store::BlobAppender> data_in,
       std::unique_ptr<store::BlobAppender> index_in, Duration started);

  const Uuid id;
  std::mutex mutex;
  Record record;
  const Secret key;
  std::unique_ptr<store::BlobAppender> data;
  std::unique_ptr<store::BlobAppender> index;
  std::optional<Error> failure;  // once it cannot be written, it stays so
  std::function<void(const Error&)> on_failure;
  bool failure_told = false;
  bool ending = false;  // somebody has closed it
  bool ended = false;   // nothing may be added any more
  // How it ended, until row and ledger have it.
  struct End {
    Record record;
    bool failed = false;
  };
  std::optional<End> end;
  bool unsynced = false;
  std::optional<Duration> told_time;  // instead of the clock's, since the start
  Duration watched_until{0};          // boottime: somebody looks on
  bool end_failed = false;            // and it was said
  RateAccount account;
  bool may_use_reserve = false;

  uint64_t chunks = 0;  // in the file
  ChunkHash head{};     // of the last of them
  Progress::Head durable;
  uint64_t ledgered = 0;  // chunks, as far as the ledger knows

  // Each returns the failure, if there was one. `now` is the clock's boottime.
  Result<void> output(std::string_view bytes, Duration now, Random& random);
  Result<void> input(std::string_view bytes, Duration now, Random& random);
  Result<void> event(char code, std::string_view data, Duration now, Random& random);
  // For the index alone: words that the event just added is to be found by.
  void searchable(std::string_view text) { segment_.line(text); }
  // Whether a chunk is due.
  bool is_due(Duration now, Duration flush_every) const;
  // What has been gathered becomes a chunk; with nothing gathered, only the last one is written.
  Result<void> cut(ChunkKind kind, Random& random);
  Result<void> finish_text(Duration now, Random& random);  // what is left of a character
  void finish_index(Random& random);

  const SegmentBuilder& segment() const { return segment_; }
  Duration length() const { return last_event_; }
  // What it has taken so far, as it is written; grows.
  uint64_t volume() const { return data->size() + buffer_.size(); }

 private:
  Result<void> check() const;
  Result<void> added(Duration now, Random& random);
  Result<void> put(char code, const Utf8Stream::Piece& piece, Duration now, Random& random);
  // How long after the event before.
  Duration step(Duration now);
  void write_segment(Random& random);

  const Secret index_key_;
  const Duration started_;
  std::string buffer_;
  Duration buffer_since_{0};
  Duration last_event_{0};  // since the start
  Duration chunk_from_{0};
  Utf8Stream text_, typed_;
  SegmentBuilder segment_;
  uint64_t segments_ = 0;
  bool index_failed_ = false;
};

}  // namespace merlon::recording
