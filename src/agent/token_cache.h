// Tokens of this machine's identities: from the server, and kept for as long as they are fresh.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "base/clock.h"
#include "machine/identity_endpoint.h"

namespace merlon::agent {

class TokenSource {
 public:
  virtual ~TokenSource() = default;
  // From any thread. An error with the server's code, or with another one when it could not be reached.
  virtual Result<machine::TokenAnswer> token(const machine::TokenRequest& request) = 0;
};

// Whether the server has said no, in contrast to not having said anything.
bool is_refusal(const Error& error);

// Thread-safe. A token is given out again to the same caller until half of its life is over, and while the
// server cannot be reached until five minutes before its end.
class TokenCache {
 public:
  TokenCache(TokenSource& source, const Clock& clock) : source_(source), clock_(clock) {}
  struct Found {
    machine::TokenAnswer answer;
    std::chrono::seconds left{};  // of its life
  };
  Result<Found> get(const machine::TokenRequest& request);
  // What was got before is not given out any more, nor what is under way.
  void clear();

 private:
  struct Kept {
    machine::TokenAnswer answer;
    Duration until{}, fresh_until{};  // CLOCK_BOOTTIME
  };
  using Key = std::tuple<std::string, std::string, std::string>;  // client id, audience, caller
  Found found(const Kept& kept) const;

  TokenSource& source_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<Key, Kept> kept_;
  uint64_t generation_ = 0;
};

}  // namespace merlon::agent
