// The system's clocks, and the one that tests hold in their hand.
#include "base/clock.h"

#include <ctime>

namespace merlon {

Timestamp SystemClock::now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

Duration SystemClock::boottime() const {
  timespec spec{};
  clock_gettime(CLOCK_BOOTTIME, &spec);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(spec.tv_sec) +
                                              std::chrono::nanoseconds(spec.tv_nsec));
}

Timestamp ManualClock::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

Duration ManualClock::boottime() const {
  const std::lock_guard lock(mutex_);
  return boottime_;
}

void ManualClock::advance(Duration by) {
  const std::lock_guard lock(mutex_);
  now_ += by;
  boottime_ += by;
}

void ManualClock::step_wall(Duration by) {
  const std::lock_guard lock(mutex_);
  now_ += by;
}

}  // namespace merlon
