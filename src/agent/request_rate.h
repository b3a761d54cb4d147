// How often each caller of the identity endpoint may ask: as Azure's own endpoint, which answers 429 beyond
// twenty requests in a second. What a caller spends nobody else misses. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"

namespace merlon::agent {

class RequestRate {
 public:
  static constexpr unsigned kAtOnce = 40;  // a token by the challenge file takes two
  static constexpr unsigned kPerSecond = 20;

  explicit RequestRate(const Clock& clock) : clock_(clock) {}
  // Nothing when the caller may go on; else how many seconds it had better wait.
  std::optional<unsigned> refuse(const std::string& caller);

 private:
  struct Level {
    double left = kAtOnce;
    Duration at{};
  };
  static void refill(Level& level, Duration now);
  const std::string& place_of(const std::string& caller, Duration now);
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Level> levels_;
};

}  // namespace merlon::agent
