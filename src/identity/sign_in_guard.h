// Slows down who guesses passwords: after ten failures for an account or from a source, that account or
// source waits, twice as long each time. In memory and bounded: it is a brake, not a record (the ledger is).
//
// A source that has signed in to an account before has a count of its own for it, so that a stranger who
// fails on purpose does not lock the owner out (Entra's "familiar location" rule). Client secrets need no
// brake: they are 256 random bits.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/ip.h"

namespace merlon::identity {

class SignInGuard {
 public:
  explicit SignInGuard(const Clock& clock, size_t entries_max = 20'000)
      : clock_(clock), entries_max_(entries_max) {}

  // How long this attempt must wait; zero = it may go on.
  Duration wait(const std::string& account, const IpAddress& peer);
  void failed(const std::string& account, const IpAddress& peer);
  void succeeded(const std::string& account, const IpAddress& peer);
  size_t size() const;

 private:
  struct Count {
    uint32_t failures = 0;
    bool familiar = false;
    Duration last{0};  // boottime: a stepped clock opens nothing
    Duration blocked_until{0};
    std::list<std::string>::iterator use;
  };
  Count& count(const std::string& key);
  Count* find(const std::string& key);
  std::string account_key(const std::string& account, const IpAddress& peer);
  void add_failure(Count& count) const;

  const Clock& clock_;
  const size_t entries_max_;
  mutable std::mutex mutex_;
  std::map<std::string, Count> counts_;
  std::list<std::string> order_;  // least recently used first
};

}  // namespace merlon::identity
