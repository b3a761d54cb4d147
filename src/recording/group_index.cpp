// Groups out of segments, and in and out of bytes.
#include "recording/group_index.h"

#include "crypto/aead.h"
#include "recording/index_numbers.h"

namespace merlon::recording {
namespace {

constexpr size_t kSegmentsPerGroup = 16;
constexpr size_t kSegmentsLeast = 4;
constexpr size_t kSizeBytes = 4;
constexpr size_t kNumbers = 6;
constexpr size_t kIndexBytesMax = 64 * 1024 * 1024;
constexpr size_t kFilterBytes = (size_t{1} << TrigramFilter::kLogBitsMax) / 8;

Bytes context(const Uuid& recording, uint64_t number) {
  return to_bytes("merlon.recording.groups.v1\n" + recording.text() + "\n" + std::to_string(number));
}

}  // namespace

std::string groups_name(const Uuid& recording) { return "recording-groups/" + recording.text(); }

Result<void> write_groups(store::BlobStore& blobs, const Record& record, const Secret& key, Random& random) {
  const Bytes index = TRY(blobs.read(record.index_name(), 0, kIndexBytesMax));
  std::vector<SegmentGroup> groups;
  size_t offset = 0;
  uint64_t number = 0;
  for (;; ++number) {
    const size_t from = offset;
    const auto segment = open_segment(key, record.id, number, index, offset);
    if (!segment) break;
    if (groups.empty() || groups.back().count == kSegmentsPerGroup)
      groups.push_back(
          {.first = number, .begin = segment->begin, .from = from, .filter = Bytes(kFilterBytes)});
    SegmentGroup& group = groups.back();
    ++group.count;
    group.end = segment->end;
    group.to = offset;
    unite_filters(group.filter, segment->filter);
  }
  if (number < kSegmentsLeast) return {};
  Bytes file;
  for (size_t i = 0; i < groups.size(); ++i) {
    const SegmentGroup& group = groups[i];
    Bytes plain;
    for (const uint64_t each : {group.first, group.count, group.begin, group.end, group.from, group.to})
      put_number(plain, each, 8);
    plain.insert(plain.end(), group.filter.begin(), group.filter.end());
    const Bytes sealed = crypto::aead_seal(key, plain, context(record.id, i), random);
    put_number(file, sealed.size(), kSizeBytes);
    file.insert(file.end(), sealed.begin(), sealed.end());
  }
  TRY(blobs.remove(groups_name(record.id)));
  const auto out = TRY(blobs.append_to(groups_name(record.id), store::BlobSpace::reserve));
  return out->append(file);
}

std::vector<SegmentGroup> read_groups(store::BlobStore& blobs, const Record& record, const Secret& key) {
  std::vector<SegmentGroup> groups;
  const auto file = blobs.read(groups_name(record.id), 0, kIndexBytesMax);
  if (!file) return groups;
  const ByteView bytes = *file;
  for (size_t offset = 0; offset + kSizeBytes <= bytes.size();) {
    const auto size = static_cast<size_t>(number_at(bytes, offset, kSizeBytes));
    if (size > bytes.size() - offset - kSizeBytes) break;
    const auto plain =
        crypto::aead_open(key, bytes.subspan(offset + kSizeBytes, size), context(record.id, groups.size()));
    if (!plain || plain->size() != kNumbers * 8 + kFilterBytes) break;
    const ByteView open = plain->expose();
    groups.push_back({.first = number_at(open, 0, 8),
                      .count = number_at(open, 8, 8),
                      .begin = number_at(open, 16, 8),
                      .end = number_at(open, 24, 8),
                      .from = number_at(open, 32, 8),
                      .to = number_at(open, 40, 8),
                      .filter = Bytes(open.begin() + kNumbers * 8, open.end())});
    offset += kSizeBytes + size;
  }
  return groups;
}

}  // namespace merlon::recording
