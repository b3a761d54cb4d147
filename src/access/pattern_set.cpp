// Stems that begin the action lie on one chain: from the last stem that does not sort after the action, by
// the links, to the shortest.
#include "access/pattern_set.h"

#include <algorithm>
#include <utility>

namespace merlon::access {

PatternSet::PatternSet(const std::vector<std::string>& texts) {
  patterns_.reserve(texts.size());
  for (const std::string& text : texts) patterns_.emplace_back(text);
  std::vector<uint32_t> order(patterns_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](uint32_t i) { return std::pair(patterns_[i].stem(), i); });
  for (const uint32_t i : order) {
    const std::string_view stem = patterns_[i].stem();
    if (stems_.empty() || stems_.back().text != stem) {
      // What this stem begins with is the one before it, or on that one's chain.
      uint32_t shorter = stems_.empty() ? kNone : static_cast<uint32_t>(stems_.size() - 1);
      while (shorter != kNone && !stem.starts_with(stems_[shorter].text)) shorter = stems_[shorter].shorter;
      stems_.push_back({std::string(stem), shorter, {}});
    }
    stems_.back().patterns.push_back(i);
  }
}

const Pattern* PatternSet::first_match(std::string_view lower_action) const {
  const auto after = std::ranges::upper_bound(stems_, lower_action, {},
                                              [](const Stem& stem) { return std::string_view(stem.text); });
  uint32_t best = kNone;
  for (auto at = static_cast<uint32_t>(after - stems_.begin()) - 1; at != kNone; at = stems_[at].shorter) {
    const Stem& stem = stems_[at];
    if (!lower_action.starts_with(stem.text)) continue;
    for (const uint32_t i : stem.patterns) {
      if (i >= best) break;
      if (patterns_[i].matches(lower_action)) best = i;
    }
  }
  return best == kNone ? nullptr : &patterns_[best];
}

}  // namespace merlon::access
