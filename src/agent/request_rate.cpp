// Token buckets, one for each account.
#include "agent/request_rate.h"

#include <algorithm>

namespace merlon::agent {
namespace {

constexpr size_t kCallersKept = 1024;
const std::string kEveryOther;  // whoever comes when all places are taken
constexpr double kMsPerSecond = 1000;

}  // namespace

void RequestRate::refill(Level& level, Duration now) {
  const double passed = static_cast<double>((now - level.at).count()) / kMsPerSecond;
  level.left = std::min<double>(kAtOnce, level.left + std::max(passed, 0.0) * kPerSecond);
  level.at = now;
}

// Who has asked for nothing for a while is as good as new, and needs no place. Nobody gets one by filling
// them: a user may have the ids of many (user namespaces).
const std::string& RequestRate::place_of(const std::string& caller, Duration now) {
  if (levels_.size() < kCallersKept || levels_.contains(caller)) return caller;
  for (auto& [account, level] : levels_) refill(level, now);
  std::erase_if(levels_, [](const auto& each) { return each.second.left >= kAtOnce; });
  return levels_.size() < kCallersKept ? caller : kEveryOther;
}

std::optional<unsigned> RequestRate::refuse(const std::string& caller) {
  const Duration now = clock_.boottime();
  const std::lock_guard lock(mutex_);
  Level& level = levels_.try_emplace(place_of(caller, now), Level{.left = kAtOnce, .at = now}).first->second;
  refill(level, now);
  if (level.left < 1) return 1;  // a whole second: Retry-After knows nothing finer
  level.left -= 1;
  return std::nullopt;
}

}  // namespace merlon::agent
