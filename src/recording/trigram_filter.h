// Which sequences of three bytes occur in a piece of text: a Bloom filter of a fixed size, folded to what the
// text needs before it is kept. It says "not here" for certain, and "perhaps" otherwise. Not thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace merlon::recording {

// Of `text` in lower case, each once, in no order.
std::vector<uint32_t> trigrams_of(std::string_view text);

class TrigramFilter {
 public:
  static constexpr unsigned kLogBitsMax = 17;
  static constexpr unsigned kLogBitsMin = 9;

  void add(std::string_view text);
  void clear();
  bool empty() const { return words_.empty(); }
  bool may_hold(const std::vector<uint32_t>& trigrams) const;

  // The smallest filter that is not too full.
  Bytes folded() const;

 private:
  void add_one(uint32_t trigram);

  std::vector<uint64_t> words_;  // none before the first text
  // What was added last, each in a place of its own: nothing is lost by forgetting one.
  std::vector<uint64_t> phrases_;  // eight bytes, of which all six trigrams were
  std::vector<uint16_t> recent_;   // trigrams
};

// Adds to a filter of the full size what a folded one says: whatever that may hold, this may hold.
void unite_filters(Bytes& whole, ByteView folded);
// Of what folded() gave; false as well when it is nothing of the kind.
bool folded_may_hold(ByteView folded, const std::vector<uint32_t>& trigrams);

}  // namespace merlon::recording
