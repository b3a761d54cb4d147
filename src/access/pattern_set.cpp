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
    const Pattern& pattern = patterns_[i];
    const std::string_view stem = pattern.stem();
    if (stems_.empty() || text_of(stems_.back()) != stem) {
      // What this stem begins with is the one before it, or on that one's chain.
      uint32_t shorter = stems_.empty() ? kNone : static_cast<uint32_t>(stems_.size() - 1);
      while (shorter != kNone && !stem.starts_with(text_of(stems_[shorter])))
        shorter = stems_[shorter].shorter;
      const auto entry = static_cast<uint32_t>(entries_.size());
      stems_.push_back(
          {static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(stem.size()), shorter, entry, entry});
      text_ += stem;
    }
    entries_.push_back({i, pattern.is_its_stem()             ? Rest::nothing
                           : pattern.is_whatever_begins_so() ? Rest::anything
                                                             : Rest::to_be_matched});
    stems_.back().end_entry = static_cast<uint32_t>(entries_.size());
  }
}

const Pattern* PatternSet::first_match(std::string_view lower_action) const {
  const auto after =
      std::ranges::upper_bound(stems_, lower_action, {}, [this](const Stem& stem) { return text_of(stem); });
  uint32_t best = kNone;
  for (auto at = static_cast<uint32_t>(after - stems_.begin()) - 1; at != kNone; at = stems_[at].shorter) {
    const Stem& stem = stems_[at];
    if (!lower_action.starts_with(text_of(stem))) continue;
    for (uint32_t i = stem.first_entry; i < stem.end_entry; ++i) {
      const Entry& entry = entries_[i];
      if (entry.pattern >= best) break;
      const bool matches = entry.rest == Rest::anything ||
                           (entry.rest == Rest::nothing ? lower_action.size() == stem.size
                                                        : patterns_[entry.pattern].matches(lower_action));
      if (matches) best = entry.pattern;
    }
  }
  return best == kNone ? nullptr : &patterns_[best];
}

}  // namespace merlon::access
