// The index of a recording's text, made while it is written: for each stretch of the file (some 128 KiB of
// visible text) a filter that says which sequences of three bytes occur in it, sealed under a key that comes
// from the recording's. On the disk it tells nothing but how many stretches there are. It is no evidence, and
// may be made again from the recording at any time.
//
//   file    = *(size(4, little endian) sealed)
//   sealed  = AES-256-GCM of begin(8) end(8) filter, with recording and number as associated data
#pragma once

#include <optional>
#include <string>

#include "base/random.h"
#include "recording/chunks.h"
#include "recording/trigram_filter.h"
#include "recording/visible_text.h"

namespace merlon::recording {

struct Segment {
  uint64_t begin = 0;  // offsets in the recording's file: the chunk to read from,
  uint64_t end = 0;    // and where the stretch ends
  Bytes filter;
};

Bytes seal_segment(const Secret& key, const Uuid& recording, uint64_t number, const Segment& segment,
                   Random& random);
// The segment whose size stands at `offset` of `file`, and moves past it; nothing when what is there is no
// segment of that number, or only a part of one.
std::optional<Segment> open_segment(const Secret& key, const Uuid& recording, uint64_t number, ByteView file,
                                    size_t& offset);

// Input as the search reads it: no terminal has it, so nothing in it hides or erases what stands beside it.
std::string typed_text(std::string_view input);

// Gathers the text of the stretch that is being written. Not thread-safe.
class SegmentBuilder {
 public:
  // Output of the chunk that will begin at `place`.
  void output(std::string_view bytes, uint64_t place);
  void input(std::string_view bytes, uint64_t place);
  // A line of its own: a command, a marker.
  void line(std::string_view text);
  bool is_full() const { return text_bytes_ >= kTextBytes; }
  bool is_empty() const {
    return filter_.empty() && visible_.unfinished().size() < 3 && typed_.unfinished().size() < 3;
  }
  bool may_hold(const std::vector<uint32_t>& trigrams) const;
  uint64_t begin() const { return begin_; }
  // What was gathered, up to `end`; the next stretch begins with the line that is not finished yet.
  Segment cut(uint64_t end);

 private:
  static constexpr size_t kTextBytes = 128 * 1024;
  void add(std::string_view line);

  VisibleText visible_, typed_;
  TrigramFilter filter_;
  size_t text_bytes_ = 0;
  uint64_t begin_ = kFileMagic.size();
};

}  // namespace merlon::recording
