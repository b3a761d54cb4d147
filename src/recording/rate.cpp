// Token buckets, that may be overdrawn by what came at once. What one holds shrinks with its rate where many
// are busy, so that all of them together do not hold more than the server's share of it.
#include "recording/rate.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace merlon::recording {
namespace {

constexpr Duration kWindow = std::chrono::seconds(1);
constexpr uint64_t kLittle = 64 * 1024;  // in a window: what a person reads is far less

double seconds(Duration time) { return static_cast<double>(time.count()) / 1000; }

}  // namespace

double RateShare::rate() const {
  return std::min(each_, all_ / static_cast<double>(std::max<size_t>(1, busy_.load())));
}

void RateShare::set_busy(RateAccount& account, bool is_busy) {
  if (std::exchange(account.is_busy_, is_busy) == is_busy) return;
  if (is_busy)
    ++busy_;
  else
    --busy_;
}

void RateShare::settle(RateAccount& account, Duration now) {
  const double per_second = rate();
  const double most = saved_ * per_second / each_;
  if (!std::exchange(account.begun_, true))
    account.balance_ = most;
  else
    account.balance_ = std::min(most, account.balance_ + per_second * seconds(now - account.balanced_));
  account.balanced_ = now;
  if (now - account.counted_since_ < kWindow) return;
  set_busy(account, account.counted_ > kLittle || account.balance_ < 0);
  account.counted_ = 0;
  account.counted_since_ = now;
}

void RateShare::spend(RateAccount& account, uint64_t bytes, Duration now) {
  settle(account, now);
  account.counted_ += bytes;
  if (account.counted_ > kLittle) set_busy(account, true);
  account.balance_ -= static_cast<double>(bytes);
}

void RateShare::leave(RateAccount& account) { set_busy(account, false); }

Duration RateShare::wait(const RateAccount& account, Duration now) const {
  const double per_second = rate();
  const double missing = -(account.balance_ + per_second * seconds(now - account.balanced_));
  if (missing <= 0) return Duration(0);
  return Duration(static_cast<int64_t>(std::ceil(missing / per_second * 1000)));
}

}  // namespace merlon::recording
