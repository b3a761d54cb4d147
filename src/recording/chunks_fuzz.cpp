// A recording's file that somebody has made or damaged: its chain, its chunks and its index.
#include "recording/segment_index.h"
#include "recording/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  using namespace merlon::recording;
  const ByteView bytes(data, size);
  const ReadAt file = [&](uint64_t offset, size_t length) -> Result<Bytes> {
    if (offset >= bytes.size()) return Bytes();
    const ByteView part = bytes.subspan(offset, std::min<size_t>(length, bytes.size() - offset));
    return Bytes(part.begin(), part.end());
  };
  const Secret key(Bytes(32, 7));
  const Chain without = follow_chain(file, {}, nullptr);
  const Chain with = follow_chain(file, {}, &key);
  MERLON_CHECK(with.hashes.size() <= without.hashes.size());
  MERLON_CHECK(without.bytes <= size || without.hashes.empty());
  static_cast<void>(parse_chunk(bytes));
  static_cast<void>(folded_may_hold(bytes, {1, 2, 3}));
  size_t offset = 0;
  static_cast<void>(open_segment(key, {}, 0, bytes, offset));
  static_cast<void>(verify_file(file, {}, LedgerFacts({})));
  return 0;
}
