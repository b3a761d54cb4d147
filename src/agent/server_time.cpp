// The bound, and when a new answer replaces it.
#include "agent/server_time.h"

#include <algorithm>

namespace merlon::agent {

void ServerTime::heard(Timestamp server_time, Duration sent, Duration received) {
  const Timestamp latest = server_time - sent;
  const Timestamp earliest = server_time - received;
  // The answer proves that the server's time is beyond our bound: its clock was set forward, ours is slow, or
  // this machine was paused without its clock noticing. The old bound is worth nothing.
  const bool disproved = zero_ && earliest > *zero_;
  zero_ = zero_ && !disproved ? std::min(*zero_, latest) : latest;
}

std::optional<Timestamp> ServerTime::at_most(Duration boottime) const {
  if (!zero_) return std::nullopt;
  return *zero_ + boottime;
}

}  // namespace merlon::agent
