// How fast sessions may be recorded: each by a rate of its own with something saved up, so that a long file
// is shown at once, and all together by the server's rate, which those share that have much to say at the
// moment. What they have said is recorded, all of it; whoever has said too much is not listened to for a
// while, so that their session is as slow as its recording. Who says little is never made to wait for the
// others.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace merlon::recording {

class RateShare;

// One session's account. Its calls are one at a time; those of others may come meanwhile.
class RateAccount {
 private:
  friend class RateShare;
  double balance_ = 0;  // bytes that may still come at once; below nothing: too many have come
  Duration balanced_{0};
  Duration counted_since_{0};
  uint64_t counted_ = 0;
  bool begun_ = false, is_busy_ = false;
};

class RateShare {
 public:
  // Bytes in a second of each and of all together, and what one may save up.
  RateShare(uint64_t each, uint64_t all, uint64_t saved)
      : each_(static_cast<double>(each)),
        all_(static_cast<double>(all)),
        saved_(static_cast<double>(std::max(each, saved))) {}

  void spend(RateAccount& account, uint64_t bytes, Duration now);
  // Of one that has said nothing for a while: call it now and then.
  void settle(RateAccount& account, Duration now);
  void leave(RateAccount& account);
  // For how long it should not be listened to.
  Duration wait(const RateAccount& account, Duration now) const;
  size_t busy() const { return busy_.load(); }

 private:
  double rate() const;  // bytes in a second of each that is busy
  void set_busy(RateAccount& account, bool is_busy);

  const double each_, all_, saved_;
  std::atomic<size_t> busy_ = 0;
};

}  // namespace merlon::recording
