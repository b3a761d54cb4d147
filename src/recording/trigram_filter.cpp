// Two bits for each trigram. Folding a filter of 2^n bits in half, by "or", gives that of 2^(n-1) bits, since
// a position is the low bits of a hash.
#include "recording/trigram_filter.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/text.h"
#include "base/text_runs.h"

namespace merlon::recording {
namespace {

constexpr size_t kWordsMax = (size_t{1} << TrigramFilter::kLogBitsMax) / 64;
constexpr size_t kWordsMin = (size_t{1} << TrigramFilter::kLogBitsMin) / 64;
constexpr size_t kFullPart = 4;  // a quarter of the bits: one trigram in sixteen is there by chance

constexpr unsigned kTrigramBits = 24;
constexpr unsigned kLogRecent = 12;
constexpr unsigned kLogPhrases = 9;
constexpr size_t kPhraseBytes = 8;
constexpr size_t kPhraseTrigrams = kPhraseBytes - 2;
constexpr uint32_t kSpread = 0x9e3779U;                // 2^24 by the golden ratio (Knuth, TAOCP 6.4); odd
constexpr uint64_t kSpreadLong = 0x9e3779b97f4a7c15U;  // 2^64 by it

size_t place_of(uint64_t phrase) { return (phrase * kSpreadLong) >> (64 - kLogPhrases); }

// Two independent positions out of one multiplication (splitmix64's finalizer, by Vigna, public domain).
uint64_t mix(uint32_t trigram) {
  uint64_t value = trigram + 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

template <class Visit>
void each_trigram(std::string_view text, const Visit& visit) {
  uint32_t window = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    window = ((window << 8U) | static_cast<uint8_t>(ascii_lower(text[i]))) & 0xffffffU;
    if (i >= 2) visit(window);
  }
}

size_t ones(const std::vector<uint64_t>& words) {
  size_t count = 0;
  for (const uint64_t word : words) count += static_cast<size_t>(std::popcount(word));
  return count;
}

}  // namespace

std::vector<uint32_t> trigrams_of(std::string_view text) {
  std::vector<uint32_t> all;
  each_trigram(text, [&](uint32_t trigram) { all.push_back(trigram); });
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

inline void TrigramFilter::add_one(uint32_t trigram) {
  // Most of them are met again here, for less than two bits cost. Each trigram has a number of its own: the
  // factor is odd. The place is its upper half, and what stands there its lower, counted from one.
  const uint32_t number = (trigram * kSpread) & ((1U << kTrigramBits) - 1);
  const auto mark = static_cast<uint16_t>((number & ((1U << (kTrigramBits - kLogRecent)) - 1)) + 1);
  if (std::exchange(recent_[number >> (kTrigramBits - kLogRecent)], mark) == mark) return;
  constexpr uint64_t kMask = (uint64_t{1} << kLogBitsMax) - 1;
  const uint64_t hash = mix(trigram);
  for (const uint64_t bit : {hash & kMask, (hash >> 32U) & kMask})
    words_[bit / 64] |= uint64_t{1} << (bit % 64);
}

void TrigramFilter::add(std::string_view text) {
  if (text.size() < 3) return;
  if (words_.empty()) {
    words_.resize(kWordsMax);
    recent_.assign(size_t{1} << kLogRecent, 0);
    phrases_.resize(size_t{1} << kLogPhrases);
    phrases_[place_of(0)] = 1;  // which is not the place of 1: eight zeros are no phrase that was added
  }
  // Text repeats itself. Six trigrams at once are met again for less than one of them costs.
  size_t i = 0;
  for (; i + kPhraseBytes <= text.size(); i += kPhraseTrigrams) {
    const uint64_t phrase = ascii_lower8(eight_bytes(text.data() + i));
    uint64_t& recent = phrases_[place_of(phrase)];
    if (std::exchange(recent, phrase) == phrase) continue;
    const uint64_t in_order = std::byteswap(phrase);
    for (unsigned shift = 40;; shift -= 8) {
      add_one((in_order >> shift) & 0xffffffU);
      if (shift == 0) break;
    }
  }
  each_trigram(text.substr(i), [this](uint32_t trigram) { add_one(trigram); });
}

void TrigramFilter::clear() {
  std::vector<uint64_t>().swap(words_);
  std::vector<uint16_t>().swap(recent_);
  std::vector<uint64_t>().swap(phrases_);
}

bool TrigramFilter::may_hold(const std::vector<uint32_t>& trigrams) const {
  if (words_.empty()) return false;
  return std::ranges::all_of(trigrams, [this](uint32_t trigram) {
    const uint64_t hash = mix(trigram);
    const auto set = [&](uint64_t bit) { return (words_[bit / 64] >> (bit % 64) & 1U) != 0; };
    constexpr uint64_t kMask = (uint64_t{1} << kLogBitsMax) - 1;
    return set(hash & kMask) && set((hash >> 32U) & kMask);
  });
}

Bytes TrigramFilter::folded() const {
  std::vector<uint64_t> words = words_;
  if (words.empty()) words.resize(kWordsMin);
  while (words.size() > kWordsMin) {
    std::vector<uint64_t> half(words.begin(), words.begin() + static_cast<ptrdiff_t>(words.size() / 2));
    for (size_t i = 0; i < half.size(); ++i) half[i] |= words[half.size() + i];
    if (ones(half) > half.size() * 64 / kFullPart) break;
    words = std::move(half);
  }
  Bytes out;
  out.reserve(words.size() * 8);
  for (const uint64_t word : words)
    for (unsigned i = 0; i < 8; ++i) out.push_back(static_cast<uint8_t>(word >> (8 * i)));
  return out;
}

void unite_filters(Bytes& whole, ByteView folded) {
  // A bit's place in a folded filter is the lower part of its place in the whole.
  const bool fits = folded.size() >= 8 && std::has_single_bit(folded.size()) && folded.size() <= whole.size();
  for (size_t i = 0; i < whole.size(); ++i) whole[i] |= fits ? folded[i % folded.size()] : uint8_t{0xff};
}

bool folded_may_hold(ByteView folded, const std::vector<uint32_t>& trigrams) {
  const uint64_t bits = folded.size() * 8;
  if (bits < 64 || !std::has_single_bit(bits)) return false;
  return std::ranges::all_of(trigrams, [&](uint32_t trigram) {
    const uint64_t hash = mix(trigram);
    const auto set = [&](uint64_t bit) { return (folded[bit / 8] >> (bit % 8) & 1U) != 0; };
    return set(hash & (bits - 1)) && set((hash >> 32U) & (bits - 1));
  });
}

}  // namespace merlon::recording
