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
  struct Stem {
    std::string text;
    uint32_t shorter = kNone;        // the longest other stem that this one begins with
    std::vector<uint32_t> patterns;  // ascending
  };
  std::vector<Pattern> patterns_;  // in the order of the list
  std::vector<Stem> stems_;        // ascending by text
};

}  // namespace merlon::access
