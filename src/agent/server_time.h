// What time it is on the server, at most. An answer that came back with our own nonce was given after we sent
// the request and after the server had held it, so server time now is no later than the answer's plus all
// that passed since we *sent*, less what the request was held: a bound that is never too early, and late by
// what the request was on its way. Of several the tightest stands, but none for long: two clocks drift apart,
// and what the bound of an hour ago proves is worth less by as much.
#pragma once

#include <optional>

#include "base/clock.h"

namespace merlon::agent {

class ServerTime {
 public:
  // Two clocks that NTP corrects run apart by twice its 500 millionths at most (RFC 5905, section 11.3).
  static constexpr int64_t kDriftMost = 1000;  // millionths

  // `sent` and `received` are CLOCK_BOOTTIME, which goes on in suspend. `held`: how long the server had the
  // request before it gave its time.
  void heard(Timestamp server_time, Duration held, Duration sent, Duration received);
  // The latest that it may be there; nothing before the first answer.
  std::optional<Timestamp> at_most(Duration boottime) const;

 private:
  std::optional<Timestamp> zero_;  // bound of the server's time at our boot, as it was at heard_
  Duration heard_{};
};

}  // namespace merlon::agent
