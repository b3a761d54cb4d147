// Token buckets, one for each name of a rule.
#include "agent/request_rate.h"

#include <algorithm>

namespace merlon::agent {
namespace {

constexpr size_t kCallersKept = 256;  // more than rules have names: those of rules that are gone go with them
constexpr double kMsPerSecond = 1000;

}  // namespace

std::optional<unsigned> RequestRate::refuse(const std::string& caller) {
  const Duration now = clock_.boottime();
  const std::lock_guard lock(mutex_);
  if (levels_.size() >= kCallersKept && !levels_.contains(caller)) levels_.clear();
  Level& level = levels_.try_emplace(caller, Level{.left = kAtOnce, .at = now}).first->second;
  const double passed = static_cast<double>((now - level.at).count()) / kMsPerSecond;
  level.left = std::min<double>(kAtOnce, level.left + std::max(passed, 0.0) * kPerSecond);
  level.at = now;
  if (level.left < 1) return 1;  // a whole second: Retry-After knows nothing finer
  level.left -= 1;
  return std::nullopt;
}

}  // namespace merlon::agent
