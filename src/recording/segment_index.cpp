// Segments in and out of bytes, and their text in.
#include "recording/segment_index.h"

#include <algorithm>

#include "crypto/aead.h"
#include "recording/index_numbers.h"

namespace merlon::recording {
namespace {

constexpr size_t kSizeBytes = 4;
constexpr size_t kSealedMax = (size_t{1} << TrigramFilter::kLogBitsMax) / 8 + 256;

Bytes context(const Uuid& recording, uint64_t number) {
  return to_bytes("merlon.recording.index.v1\n" + recording.text() + "\n" + std::to_string(number));
}

}  // namespace

Bytes seal_segment(const Secret& key, const Uuid& recording, uint64_t number, const Segment& segment,
                   Random& random) {
  Bytes plain;
  put_number(plain, segment.begin, 8);
  put_number(plain, segment.end, 8);
  plain.insert(plain.end(), segment.filter.begin(), segment.filter.end());
  const Bytes sealed = crypto::aead_seal(key, plain, context(recording, number), random);
  Bytes out;
  put_number(out, sealed.size(), kSizeBytes);
  out.insert(out.end(), sealed.begin(), sealed.end());
  return out;
}

std::optional<Segment> open_segment(const Secret& key, const Uuid& recording, uint64_t number, ByteView file,
                                    size_t& offset) {
  if (offset + kSizeBytes > file.size()) return std::nullopt;
  const auto size = static_cast<size_t>(number_at(file, offset, kSizeBytes));
  if (size > kSealedMax || offset + kSizeBytes + size > file.size()) return std::nullopt;
  const auto plain =
      crypto::aead_open(key, file.subspan(offset + kSizeBytes, size), context(recording, number));
  if (!plain || plain->size() < 16) return std::nullopt;
  const ByteView bytes = plain->expose();
  offset += kSizeBytes + size;
  return Segment{number_at(bytes, 0, 8), number_at(bytes, 8, 8), Bytes(bytes.begin() + 16, bytes.end())};
}

std::string typed_text(std::string_view input) {
  std::string text(input);
  for (char& c : text)
    if (c == '\r')
      c = '\n';
    else if (c != '\n' && (static_cast<uint8_t>(c) < 0x20 || c == '\x7f'))
      c = ' ';
  return text;
}

void SegmentBuilder::output(std::string_view bytes, uint64_t place) {
  visible_.mark(place);
  visible_.feed(bytes, [this](std::string_view line) { add(line); });
}

void SegmentBuilder::input(std::string_view bytes, uint64_t place) {
  typed_.mark(place);
  typed_.feed(typed_text(bytes), [this](std::string_view line) { add(line); });
}

void SegmentBuilder::line(std::string_view text) { add(text); }

void SegmentBuilder::add(std::string_view line) {
  filter_.add(line);
  text_bytes_ += line.size();
}

bool SegmentBuilder::may_hold(const std::vector<uint32_t>& trigrams) const {
  return filter_.may_hold(trigrams) || !visible_.unfinished().empty() || !typed_.unfinished().empty();
}

Segment SegmentBuilder::cut(uint64_t end) {
  filter_.add(visible_.unfinished());
  filter_.add(typed_.unfinished());
  Segment segment{begin_, end, filter_.folded()};
  filter_.clear();
  text_bytes_ = 0;
  visible_.mark(end);
  typed_.mark(end);
  begin_ = std::min(visible_.line_began_at(), typed_.line_began_at());
  return segment;
}

}  // namespace merlon::recording
