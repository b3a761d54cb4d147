// What time it is on the server, at most. An answer that came back with our own nonce was given between the
// moment we sent the request and now, so server time now is no later than the answer's plus all that passed
// since we *sent*: a bound that is never too early. Long polls make loose bounds; the tightest one known
// stands.
#pragma once

#include <optional>

#include "base/clock.h"

namespace merlon::agent {

class ServerTime {
 public:
  // `sent` and `received` are CLOCK_BOOTTIME, which goes on in suspend.
  void heard(Timestamp server_time, Duration sent, Duration received);
  // The latest that it may be there; nothing before the first answer.
  std::optional<Timestamp> at_most(Duration boottime) const;

 private:
  std::optional<Timestamp> zero_;  // bound of the server's time at our boot
};

}  // namespace merlon::agent
