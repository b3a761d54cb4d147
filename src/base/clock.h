// Time is passed in, never reached for, so that one core runs in the server, in tests and in the simulator.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace merlon {

using Duration = std::chrono::milliseconds;
using Timestamp = std::chrono::sys_time<Duration>;  // UTC, milliseconds

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;      // UTC; may step in either direction
  virtual Duration boottime() const = 0;  // CLOCK_BOOTTIME: never steps, goes on in suspend, zero at boot
};

class SystemClock final : public Clock {
 public:
  Timestamp now() const override;
  Duration boottime() const override;
};

// Moves only when told. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start = Timestamp(std::chrono::hours(24 * 365 * 56))) : now_(start) {}
  Timestamp now() const override;
  Duration boottime() const override;
  void advance(Duration by);    // both clocks
  void step_wall(Duration by);  // the wall clock alone, as an administrator or NTP would

 private:
  mutable std::mutex mutex_;
  Timestamp now_;
  Duration boottime_{0};
};

}  // namespace merlon
