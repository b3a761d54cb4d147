// How many administrators may sign in on a full disk's reserve. Who would take access away, or look, must get
// in; but the reserve is there for what they then do, and a script that signs in again and again must not use
// it up.
#pragma once

#include <algorithm>
#include <mutex>

#include "base/clock.h"

namespace merlon::identity {

class ReserveSignIns {
 public:
  // `now` is CLOCK_BOOTTIME.
  bool take(Duration now) {
    const std::lock_guard lock(mutex_);
    const auto grown = std::max<int64_t>(0, (now - grown_at_) / kEvery);
    left_ = std::min(kMost, left_ + grown);
    grown_at_ += grown * kEvery;
    if (left_ == 0) return false;
    --left_;
    return true;
  }

 private:
  // A sign-in takes some 60 KiB of the log that is written ahead, and the reserve is 8 MiB.
  static constexpr int64_t kMost = 12;
  static constexpr Duration kEvery = std::chrono::minutes(5);
  std::mutex mutex_;
  int64_t left_ = kMost;
  Duration grown_at_{};
};

}  // namespace merlon::identity
