// The bounds, and when a new answer replaces them.
#include "agent/server_time.h"

#include <algorithm>

namespace merlon::agent {
namespace {

Duration drift_since(Duration heard, Duration boottime) {
  const Duration since = std::max(boottime - heard, Duration(0));
  return Duration(since.count() * ServerTime::kDriftMost / 1'000'000);
}

}  // namespace

Timestamp ServerTime::Bounds::at_most(Duration boottime) const {
  return latest + boottime + drift_since(heard, boottime);
}

Timestamp ServerTime::Bounds::at_least(Duration boottime) const {
  return earliest + boottime - drift_since(heard, boottime);
}

ServerTime::Bounds ServerTime::bounds_of(const Answer& answer) {
  const Duration way = std::max(answer.received - answer.sent, Duration(0));
  const Duration waited = std::clamp(answer.held, Duration(0), way);
  return {.latest = answer.time - waited - answer.sent,
          .earliest = answer.time - answer.received,
          .heard = answer.received};
}

void ServerTime::told_by(const Answer& answer) {
  Bounds fresh = bounds_of(answer);
  proven_ = fresh.earliest;
  // A server's time never goes back. One whose clock was set back lets it stand still until no opening needs
  // it to go on.
  if (bounds_ && server_ == answer.server)
    fresh.earliest =
        std::clamp(bounds_->at_least(answer.received) - answer.received, fresh.earliest, fresh.latest);
  server_ = answer.server;
  bounds_ = fresh;
}

void ServerTime::vouched_by(const Answer& answer) {
  if (!bounds_) return;
  Bounds fresh = bounds_of(answer);
  proven_ = std::max(proven_, fresh.earliest);
  if (server_ != answer.server) return;
  const Timestamp at_most = bounds_->at_most(answer.received) - answer.received;
  const Timestamp at_least = bounds_->at_least(answer.received) - answer.received;
  // The answer proves that the server's time is beyond our bound: its clock was set forward, or this machine
  // was paused without its clock noticing. The old bounds are worth nothing.
  const bool disproved = fresh.earliest > at_most;
  if (!disproved) {
    fresh.latest = std::min(at_most, fresh.latest);
    fresh.earliest = std::min(std::max(at_least, fresh.earliest), fresh.latest);
  }
  bounds_ = fresh;
}

std::optional<Timestamp> ServerTime::at_most(Duration boottime) const {
  if (!bounds_) return std::nullopt;
  return std::max(bounds_->at_most(boottime), proven_ + boottime);
}

std::optional<Timestamp> ServerTime::at_least(Duration boottime) const {
  if (!bounds_) return std::nullopt;
  return bounds_->at_least(boottime);
}

}  // namespace merlon::agent
