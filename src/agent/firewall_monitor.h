// Hears of every change to the network namespace's nftables, as it is committed: somebody's `flush ruleset`
// takes our table away, and waiting for a poll would leave the machine open meanwhile.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace merlon::agent {

struct FirewallNews {
  bool table_removed = false;  // ours is gone, or was for a moment
  unsigned our_commits = 0;    // transactions that touched our table
  unsigned other_commits = 0;  // transactions that touched only others
  bool missed = false;         // the kernel dropped messages: look for yourself
};

// Whoever hears: the kernel's netlink socket, or the simulator's model of it.
class FirewallEvents {
 public:
  virtual ~FirewallEvents() = default;
  virtual int fd() const = 0;
  virtual Result<FirewallNews> drain() = 0;
};

class FirewallMonitor {
 public:
  using News = FirewallNews;
  static Result<FirewallMonitor> open();
  explicit FirewallMonitor(std::unique_ptr<FirewallEvents> events) : events_(std::move(events)) {}
  int fd() const { return events_->fd(); }
  // All that has come since, without waiting.
  Result<News> drain() { return events_->drain(); }

 private:
  std::unique_ptr<FirewallEvents> events_;
};

}  // namespace merlon::agent
