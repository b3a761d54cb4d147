// How much one machine may have the server do: an agent's key is good for its own machine alone, and must not
// fill the disk of all, nor keep the only writer busy. A budget fills up with time; whoever has used it up
// waits. In memory, each server by itself. (docs/decisions/0062)
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/clock.h"

namespace merlon::machine {

class Budget {
 public:
  struct Terms {
    double at_once = 0;
    double per_minute = 0;
  };
  Budget(const Clock& clock, Terms terms) : clock_(clock), terms_(terms) {}

  // What costs more than there can ever be is let through once all is there, and is paid off afterwards:
  // nobody waits for ever.
  bool take(const std::string& machine, double cost);
  void give_back(const std::string& machine, double cost);

 private:
  struct Level {
    double left = 0;
    Duration at{};
  };
  double now_left(const Level& level, Duration now) const;
  void forget_full(Duration now);

  const Clock& clock_;
  const Terms terms_;
  std::mutex mutex_;
  std::map<std::string, Level> levels_;  // of those that have used some
};

}  // namespace merlon::machine
