// Token buckets by machine.
#include "machine/report_budget.h"

#include <algorithm>

namespace merlon::machine {
namespace {

constexpr size_t kLevelsKept = 4096;  // beyond it those that are full again are forgotten
constexpr double kMsPerMinute = 60'000;

}  // namespace

double Budget::now_left(const Level& level, Duration now) const {
  const auto passed = static_cast<double>(std::max<int64_t>(0, (now - level.at).count()));
  return std::min(terms_.at_once, level.left + passed / kMsPerMinute * terms_.per_minute);
}

void Budget::forget_full(Duration now) {
  std::erase_if(levels_, [&](const auto& each) { return now_left(each.second, now) >= terms_.at_once; });
}

bool Budget::take(const std::string& machine, double cost) {
  const Duration now = clock_.boottime();
  const std::lock_guard lock(mutex_);
  if (levels_.size() >= kLevelsKept && !levels_.contains(machine)) forget_full(now);
  Level& level = levels_.try_emplace(machine, Level{.left = terms_.at_once, .at = now}).first->second;
  level = {.left = now_left(level, now), .at = now};
  if (level.left < std::min(cost, terms_.at_once)) return false;
  level.left -= cost;
  return true;
}

void Budget::give_back(const std::string& machine, double cost) {
  const std::lock_guard lock(mutex_);
  if (const auto level = levels_.find(machine); level != levels_.end()) level->second.left += cost;
}

}  // namespace merlon::machine
