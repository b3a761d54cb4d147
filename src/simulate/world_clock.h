// Time in a simulated world: one true time, and what each computer takes it for.
#pragma once

#include <optional>

#include "base/clock.h"

namespace merlon::simulate {

// The clocks of one computer. They hang on one crystal, which runs at a rate of its own; the wall clock can
// be set besides. `truth` is the world's time.
class ComputerClock final : public Clock {
 public:
  // In millionths of a second for each second. NTP corrects up to 500 (RFC 5905, section 11.3); a crystal
  // that nobody corrects is within 200 at the worst.
  static constexpr int64_t kRateMost = 500;

  explicit ComputerClock(const Timestamp& truth)
      : truth_(truth), turned_(truth), ran_at_turn_(truth.time_since_epoch()), booted_(ran()) {}
  Timestamp now() const override { return Timestamp(ran()) + wrong_by_; }
  Duration boottime() const override { return ran() - booted_; }
  Duration running() const {  // CLOCK_MONOTONIC
    return (asleep_since_ ? *asleep_since_ : ran()) - booted_ - slept_;
  }

  void step_wall(Duration by) { wrong_by_ += by; }
  void set_right() { wrong_by_ = Duration(truth_.time_since_epoch() - ran()); }
  Duration wrong_by() const { return now() - truth_; }
  // From now on; what has passed has passed.
  void turn_rate(int64_t millionths) {
    ran_at_turn_ = ran();
    turned_ = truth_;
    rate_ = millionths;
  }
  int64_t rate() const { return rate_; }
  // How much true time passes until this clock has counted so much: never less.
  Duration true_time_for(Duration counted) const {
    if (counted <= Duration(0) || rate_ == 0) return counted;
    return Duration(counted.count() * 1'000'000 / (1'000'000 + rate_) + 1);
  }

  void boot() {
    booted_ = ran();
    slept_ = {};
    asleep_since_.reset();
  }
  void suspend() { asleep_since_ = ran(); }
  Duration resume() {
    const Duration slept = asleep_since_ ? ran() - *asleep_since_ : Duration(0);
    slept_ += slept;
    asleep_since_.reset();
    return slept;
  }
  bool asleep() const { return asleep_since_.has_value(); }

 private:
  // What the crystal has counted: since 1970, were it right.
  Duration ran() const {
    const int64_t passed = (truth_ - turned_).count();
    return ran_at_turn_ + Duration(passed + passed * rate_ / 1'000'000);
  }

  const Timestamp& truth_;
  Timestamp turned_;
  Duration ran_at_turn_;
  int64_t rate_ = 0;
  Duration booted_;
  Duration wrong_by_{}, slept_{};
  std::optional<Duration> asleep_since_;
};

}  // namespace merlon::simulate
