// What time it is on the server whose state this machine has: at most, and at least. An answer that came back
// with our own nonce was given after we sent the request and after the server had held it, so server time now
// is no later than the answer's plus all that passed since we *sent*, less what the request was held: a bound
// that is never too early, and late by what the request was on its way. And it is no earlier than the
// answer's plus what passed since it came.
//
// The bounds begin anew with the answer that brings a state: a server's time may have leapt forward just
// then, to that of another server that has granted what the state has. From there on the tightest bounds of
// several answers stand, but none for long: two clocks drift apart, and what the bound of an hour ago proves
// is worth less by as much. Only answers of the same server tighten them. A server is told by the word that
// its process chose when it started; all those from before there was one count as one.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"

namespace merlon::agent {

class ServerTime {
 public:
  // Two clocks that NTP corrects run apart by twice its 500 millionths at most (RFC 5905, section 11.3).
  static constexpr int64_t kDriftMost = 1000;  // millionths

  struct Answer {
    std::string server;
    Timestamp time;
    Duration held{};              // how long the server had the request before it gave its time
    Duration sent{}, received{};  // CLOCK_BOOTTIME, which goes on in suspend
  };
  // It brought a state.
  void told_by(const Answer& answer);
  // It has called the state its own.
  void vouched_by(const Answer& answer);
  // The latest that it may be there, or that any server has proven that has vouched for the state; and the
  // earliest that it may be there. Nothing before the first answer.
  std::optional<Timestamp> at_most(Duration boottime) const;
  std::optional<Timestamp> at_least(Duration boottime) const;

 private:
  struct Bounds {  // of the server's time at our boot, as they were at `heard`
    Timestamp latest, earliest;
    Duration heard{};
    Timestamp at_most(Duration boottime) const;
    Timestamp at_least(Duration boottime) const;
  };
  static Bounds bounds_of(const Answer& answer);

  std::string server_;
  std::optional<Bounds> bounds_;
  Timestamp proven_;  // at our boot, by any server
};

}  // namespace merlon::agent
