// Recordings by their start, in pages; in each the index, then the text.
#include "recording/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "base/text.h"
#include "recording/group_index.h"
#include "recording/live.h"

namespace merlon::recording {
namespace {

constexpr size_t kRowsPerPage = 200;
constexpr size_t kTrigramBytes = 64;  // of the text asked for
constexpr size_t kLineShown = 200;
constexpr size_t kIndexBytesMax = 64 * 1024 * 1024;
constexpr size_t kHitsPerRecordingMax = 20;

struct Stretch {
  uint64_t begin = 0, end = 0;
};

// The text around a place in a line, cut between characters.
std::string around(std::string_view line, size_t at, size_t length) {
  size_t from = at > kLineShown / 2 ? at - kLineShown / 2 : 0;
  size_t to = std::min(line.size(), std::max(at + length, from + kLineShown));
  const auto inside = [&](size_t i) {
    return i < line.size() && (static_cast<uint8_t>(line[i]) & 0xc0U) == 0x80;
  };
  while (from > 0 && inside(from)) --from;
  while (inside(to)) ++to;
  return std::string(line.substr(from, to - from));
}

// What is looked for, and until when.
struct Asked {
  std::string_view lower;
  const std::vector<uint32_t>& trigrams;
  Duration until;  // CLOCK_BOOTTIME
};

class RecordingSearch {
 public:
  // `from`: the chunk, by its offset, that an answer before has stopped behind; 0: from the beginning.
  RecordingSearch(Recordings& all, const Record& record, const Asked& asked, uint64_t from,
                  SearchAnswer& answer)
      : all_(all), record_(record), asked_(asked), from_(from), answer_(answer) {}

  // The chunk that it has stopped behind, since its time was over; nothing when it is through.
  Result<std::optional<uint64_t>> run() {
    key_ = TRY(open_key(all_.seal(), record_));
    for (Stretch stretch : TRY(candidates())) {
      if (stretch.end <= from_) continue;
      if (found_ >= kHitsPerRecordingMax) break;
      const bool goes_on = stretch.begin <= from_;
      if (goes_on) stretch.begin = from_;
      ++answer_.opened;
      if (const auto stopped = TRY(read(stretch, goes_on))) return stopped;
    }
    return std::optional<uint64_t>();
  }

 private:
  Result<std::vector<Stretch>> candidates() {
    std::vector<Stretch> stretches;
    const Secret indexed = index_key(key_);
    // The live part before the file: what is moved from the one to the other meanwhile is then seen in one of
    // them.
    std::optional<uint64_t> live_from;
    bool live_may_hold = true;
    if (const auto live = all_.live(record_.id)) {
      const std::lock_guard lock(live->mutex);
      live_from = live->segment().begin();
      live_may_hold = live->segment().may_hold(asked_.trigrams);
    }
    uint64_t covered = kFileMagic.size(), number = 0, from = 0;
    // What is written has no groups yet.
    if (!live_from)
      for (const SegmentGroup& group : read_groups(all_.blobs(), record_, indexed)) {
        ++answer_.segments;
        covered = group.end;
        number = group.first + group.count;
        from = group.to;
        if (!folded_may_hold(group.filter, asked_.trigrams)) continue;
        const auto part = all_.blobs().read(record_.index_name(), group.from, group.to - group.from);
        const uint64_t found = part ? look_through(indexed, *part, group.first, stretches).first : 0;
        // A crash has taken what the group was made of.
        if (found < group.count) stretches.push_back({group.begin, group.end});
      }
    if (const auto file = all_.blobs().read(record_.index_name(), from, kIndexBytesMax))
      covered = std::max(covered, look_through(indexed, *file, number, stretches).second);
    const uint64_t size = TRY(all_.blobs().size(record_.data_name())).value_or(0);
    if (covered < size && (live_may_hold || !live_from || *live_from > covered))
      stretches.push_back({live_from ? std::min(*live_from, covered) : covered, size});
    return stretches;
  }

  // Segments from `first` on: how many there are, and where the last of them ends.
  std::pair<uint64_t, uint64_t> look_through(const Secret& indexed, ByteView file, uint64_t first,
                                             std::vector<Stretch>& stretches) {
    uint64_t count = 0, end = 0;
    for (size_t offset = 0;; ++count) {
      const auto segment = open_segment(indexed, record_.id, first + count, file, offset);
      if (!segment) return {count, end};
      ++answer_.segments;
      end = segment->end;
      if (folded_may_hold(segment->filter, asked_.trigrams))
        stretches.push_back({segment->begin, segment->end});
    }
  }

  // One chunk more than the stretch has: a line may end there. `goes_on`: the lines that end in its first
  // chunk were looked at; what begins in it is not.
  Result<std::optional<uint64_t>> read(const Stretch& stretch, bool goes_on) {
    ChunkReader reader(read_blob(all_.blobs(), record_.data_name()), stretch.begin);
    VisibleText visible, typed;
    std::string space;
    double seconds = 0;
    bool first = true;
    bool is_known = goes_on;
    const auto line = [&](std::string_view text) {
      if (!is_known) look_at(text, seconds);
    };
    while (found_ < kHitsPerRecordingMax) {
      auto chunk = reader.next();
      if (!chunk && chunk.error().code == "ChunkCut" && record_.state == RecordState::open) break;
      if (!chunk) return std::unexpected(chunk.error());
      if (!*chunk) break;
      if (std::exchange(first, false)) seconds = static_cast<double>((*chunk)->header.from.count()) / 1000;
      const Secret text = TRY(open_chunk(key_, record_.id, **chunk));
      for (const std::string_view each : split(given_out(text.expose_text(), space), '\n')) {
        if (each.starts_with('{')) continue;  // the header
        const auto event = parse_event(each);
        if (!event || !*event) continue;
        seconds += (*event)->seconds;
        if ((*event)->code == 'o') visible.feed((*event)->data, line);
        if ((*event)->code == 'i') typed.feed(typed_text((*event)->data), line);
        if ((*event)->code == 'e' || (*event)->code == 'm') line((*event)->data);
      }
      if ((*chunk)->offset >= stretch.end) break;
      // At least one chunk at a time, so that whoever asks again comes to the end.
      if (!std::exchange(is_known, false) && all_.clock().boottime() >= asked_.until)
        return std::optional((*chunk)->offset);
    }
    is_known = false;
    visible.end_line(line);
    typed.end_line(line);
    return std::optional<uint64_t>();
  }

  void look_at(std::string_view line, double seconds) {
    const std::string lower = ascii_lower(line);
    const size_t at = lower.find(asked_.lower);
    if (at == std::string::npos || found_ >= kHitsPerRecordingMax) return;
    Hit hit{record_, static_cast<int64_t>(seconds * 1000), around(line, at, asked_.lower.size())};
    hit.record.sealed_key.clear();
    // Stretches overlap.
    for (size_t i = answer_.hits.size() - found_; i < answer_.hits.size(); ++i)
      if (answer_.hits[i].at_ms == hit.at_ms && answer_.hits[i].line == hit.line) return;
    answer_.hits.push_back(std::move(hit));
    ++found_;
  }

  Recordings& all_;
  const Record& record_;
  const Asked& asked_;
  const uint64_t from_;
  SearchAnswer& answer_;
  Secret key_;
  size_t found_ = 0;
};

// "value/key", and in a recording that is not through yet "value/key/offset".
struct Place {
  std::string value, key;  // of the index "started"
  uint64_t offset = 0;
  std::string text() const {
    return value + "/" + key + (offset == 0 ? std::string() : "/" + std::to_string(offset));
  }
};

Result<Place> place_of(const std::string& text) {
  if (text.empty()) return Place{};
  const auto parts = split(text, '/');
  Place place;
  bool fits = text.size() <= 100 && (parts.size() == 2 || parts.size() == 3);
  if (fits) place = {std::string(parts[0]), std::string(parts[1]), 0};
  if (fits && parts.size() == 3) {
    const auto [end, fault] =
        std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), place.offset);
    fits = fault == std::errc() && end == parts[2].data() + parts[2].size() && place.offset > 0;
  }
  if (fits) return place;
  return fail(ErrorKind::invalid, "InvalidQueryParameterValue",
              "'" + text + "' is no place in a search. Begin without one, then give 'next' back.", "after");
}

class Search {
 public:
  Search(Recordings& all, const Query& query, const Asked& asked, SearchAnswer& answer)
      : all_(all), query_(query), asked_(asked), answer_(answer) {}

  // Whether there is time for another.
  Result<bool> look_through(const Record& record, uint64_t from) {
    if (record.place == all_.blobs().id() && TRY(query_.may_see(record))) {
      if (from == 0) ++answer_.recordings;
      const auto done = RecordingSearch(all_, record, asked_, from, answer_).run();
      if (!done) {
        ++answer_.unreadable;
        log_error("a recording could not be searched", done.error(), {{"recording", record.id.text()}});
      } else if (*done) {
        stopped_ = **done;
        return false;
      }
    }
    return answer_.hits.size() < query_.hits_max && all_.clock().boottime() < asked_.until;
  }
  uint64_t stopped() const { return stopped_; }

 private:
  Recordings& all_;
  const Query& query_;
  const Asked& asked_;
  SearchAnswer& answer_;
  uint64_t stopped_ = 0;
};

}  // namespace

Result<SearchAnswer> search(Recordings& all, const Query& query) {
  if (query.text.size() < kQueryBytesMin || query.text.size() > kQueryBytesMax || !is_utf8(query.text))
    return fail(ErrorKind::invalid, "InvalidSearchText",
                fmt::format("The text to search for must have {} to {} bytes of UTF-8.", kQueryBytesMin,
                            kQueryBytesMax),
                "text");
  const std::string lower = ascii_lower(query.text);
  const auto trigrams = trigrams_of(std::string_view(lower).substr(0, kTrigramBytes));
  Place place = TRY(place_of(query.after));
  SearchAnswer answer;
  const Asked asked{lower, trigrams, all.clock().boottime() + query.time_max};
  Search search(all, query, asked, answer);
  const auto stop_at = [&] {
    place.offset = search.stopped();
    answer.next = place.text();
    return answer;
  };
  if (const auto id = Uuid::parse(place.key); id && place.offset != 0) {
    const auto begun = TRY(store::read_value<std::optional<Record>>(
        all.store(), [&](store::Reader& reader) { return find_record(reader, all.tenant(), *id); }));
    if (begun && begun->state != RecordState::deleted && !TRY(search.look_through(*begun, place.offset)))
      return stop_at();
  }
  for (;;) {
    const auto rows =
        TRY(store::read_value<std::vector<store::IndexedRow>>(all.store(), [&](store::Reader& reader) {
          return reader.scan_index(recordings_table(), all.tenant(), "started",
                                   {.prefix = {},
                                    .after = place.value,
                                    .after_key = place.key,
                                    .limit = kRowsPerPage,
                                    .descending = true});
        }));
    for (const store::IndexedRow& row : rows) {
      place = {row.value, row.row.key, 0};
      if (!TRY(search.look_through(TRY(Record::from_row(row.row)), 0))) return stop_at();
    }
    if (rows.size() < kRowsPerPage) return answer;
  }
}

}  // namespace merlon::recording
