// Hears of every change to the network namespace's nftables, as it is committed: somebody's `flush ruleset`
// takes our table away, and waiting for a poll would leave the machine open meanwhile.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct mnl_socket;

namespace merlon::agent {

class FirewallMonitor {
 public:
  static Result<FirewallMonitor> open();
  int fd() const;

  struct News {
    bool table_removed = false;  // ours is gone, or was for a moment
    unsigned our_commits = 0;    // transactions that touched our table
    unsigned other_commits = 0;  // transactions that touched only others
    bool missed = false;         // the kernel dropped messages: look for yourself
  };
  // All that has come since, without waiting.
  Result<News> drain();

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit FirewallMonitor(std::unique_ptr<mnl_socket, Close> socket) : socket_(std::move(socket)) {}
  std::unique_ptr<mnl_socket, Close> socket_;
  // A transaction's messages end with one of a new generation, perhaps in a later datagram.
  bool batch_is_ours_ = false;
};

}  // namespace merlon::agent
