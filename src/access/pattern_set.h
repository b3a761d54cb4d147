// All action patterns of one list of a role, arranged so that a question looks at the few that can match and
// not at hundreds: sorted by their stem, the text before the first star, each stem linked to the longest
// other stem that it begins with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "access/pattern.h"

namespace merlon::access {

class PatternSet {
 public:
  explicit PatternSet(const std::vector<std::string>& texts = {});
  // The first in the order of the list that matches; null when none does.
  const Pattern* first_match(std::string_view lower_action) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Close together, since what a decision costs is the memory that it touches: a pattern itself is looked at
  // only when its stem does not say all.
  struct Stem {
    uint32_t begin, size;             // in text_
    uint32_t shorter;                 // the longest other stem that this one begins with
    uint32_t first_entry, end_entry;  // its patterns, ascending
  };
  enum class Rest : uint8_t { nothing, anything, to_be_matched };  // after the stem
  struct Entry {
    uint32_t pattern;
    Rest rest;
  };
  std::string_view text_of(const Stem& stem) const {
    return std::string_view(text_).substr(stem.begin, stem.size);
  }
  std::vector<Pattern> patterns_;  // in the order of the list
  std::vector<Stem> stems_;        // ascending by text
  std::vector<Entry> entries_;
  std::string text_;  // of all stems
};

}  // namespace merlon::access
