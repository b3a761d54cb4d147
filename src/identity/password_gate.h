// Argon2id with a bound on how many run at once: each takes 64 MiB, and strangers decide how many are asked
// for.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <semaphore>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace merlon::identity {

class PasswordGate {
 public:
  // The same work whether `hash` is a user's or empty (no such user, or no password): then the answer is
  // false. `unavailable` when too many wait: at once, or after five seconds.
  // `admitted` runs once there is room and before the work; its error is the answer.
  Result<bool> verify(const Secret& password, const std::string& hash,
                      const std::function<Result<void>()>& admitted);
  Result<std::string> hash(const Secret& password);

 private:
  static constexpr int kAtOnce = 4;
  // Each that waits has one of the server's workers: strangers who ask for many must not have them all.
  static constexpr int kWaitingMax = 8;
  class Slot;
  Result<std::string> decoy();

  std::counting_semaphore<kAtOnce> slots_{kAtOnce};
  std::atomic<int> waiting_ = 0;
  std::mutex decoy_mutex_;
  std::string decoy_;
};

}  // namespace merlon::identity
