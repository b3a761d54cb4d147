// Above the index of a recording's text, once it has ended: for each sixteen stretches of it (some 2 MiB of
// text) one filter of what any of them holds, so that a search reads a hundredth of the text to know where it
// need not look. Made of the index, sealed as that is, and as little evidence.
//
//   file   = *(size(4, little endian) sealed)
//   sealed = AES-256-GCM of first(8) count(8) begin(8) end(8) from(8) to(8) filter, with recording and number
//            as associated data
#pragma once

#include <vector>

#include "base/random.h"
#include "recording/records.h"
#include "recording/segment_index.h"
#include "store/blob_store.h"

namespace merlon::recording {

struct SegmentGroup {
  uint64_t first = 0, count = 0;  // segments
  uint64_t begin = 0, end = 0;    // offsets in the recording's file, as a segment's
  uint64_t from = 0, to = 0;      // where the segments stand in the index
  Bytes filter;
};

std::string groups_name(const Uuid& recording);  // of the blob
// Of a recording that is written no more. A short one gets none. `key` is the index's.
Result<void> write_groups(store::BlobStore& blobs, const Record& record, const Secret& key, Random& random);
// From its first on, as far as they can be read; empty when there are none.
std::vector<SegmentGroup> read_groups(store::BlobStore& blobs, const Record& record, const Secret& key);

}  // namespace merlon::recording
