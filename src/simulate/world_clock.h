// Time in a simulated world: one true time, and what each machine takes it for.
#pragma once

#include <optional>

#include "base/clock.h"

namespace merlon::simulate {

// The clock of one computer. `truth` is the world's.
class ComputerClock final : public Clock {
 public:
  explicit ComputerClock(const Timestamp& truth) : truth_(truth), booted_(truth) {}
  Timestamp now() const override { return truth_ + wrong_by_; }
  Duration boottime() const override { return truth_ - booted_; }
  Duration running() const {  // CLOCK_MONOTONIC
    return (asleep_since_ ? *asleep_since_ : truth_) - booted_ - slept_;
  }

  void step_wall(Duration by) { wrong_by_ += by; }
  void set_right() { wrong_by_ = {}; }
  Duration wrong_by() const { return wrong_by_; }
  void boot() {
    booted_ = truth_;
    slept_ = {};
    asleep_since_.reset();
  }
  void suspend() { asleep_since_ = truth_; }
  Duration resume() {
    const Duration slept = asleep_since_ ? truth_ - *asleep_since_ : Duration(0);
    slept_ += slept;
    asleep_since_.reset();
    return slept;
  }
  bool asleep() const { return asleep_since_.has_value(); }

 private:
  const Timestamp& truth_;
  Timestamp booted_;
  Duration wrong_by_{}, slept_{};
  std::optional<Timestamp> asleep_since_;
};

}  // namespace merlon::simulate
