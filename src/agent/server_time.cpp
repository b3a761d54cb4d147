// The bound, and when a new answer replaces it.
#include "agent/server_time.h"

#include <algorithm>

namespace merlon::agent {

void ServerTime::heard(Timestamp server_time, Duration held, Duration sent, Duration received) {
  const Duration waited = std::clamp(held, Duration(0), std::max(received - sent, Duration(0)));
  const Timestamp latest = server_time - waited - sent;
  const Timestamp earliest = server_time - received;
  const auto old = at_most(received);
  // The answer proves that the server's time is beyond our bound: its clock was set forward, or this machine
  // was paused without its clock noticing. The old bound is worth nothing.
  const bool disproved = old && earliest + received > *old;
  zero_ = old && !disproved ? std::min(*old - received, latest) : latest;
  heard_ = received;
}

std::optional<Timestamp> ServerTime::at_most(Duration boottime) const {
  if (!zero_) return std::nullopt;
  const Duration since = std::max(boottime - heard_, Duration(0));
  return *zero_ + boottime + Duration(since.count() * kDriftMost / 1'000'000);
}

}  // namespace merlon::agent
