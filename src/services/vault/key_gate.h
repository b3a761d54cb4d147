// How many keys are made at once. One of RSA takes seconds of a processor, by luck more, and whoever may make
// keys decides how many are asked for: each holds one of the server's workers until it is made.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include "base/result.h"
#include "base/uuid.h"

namespace merlon::vault {

class KeyGate {
 public:
  explicit KeyGate(unsigned at_once = 0);  // 0: leaves one processor for others, where there are several
  // The right to make one, as long as it lives. Errors: Throttled, when too many wait: at once, or after five
  // seconds. Of one vault one may wait, so that none has all the places.
  class Turn {
   public:
    Turn(Turn&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

   private:
    friend class KeyGate;
    explicit Turn(KeyGate& gate) : gate_(&gate) {}
    KeyGate* gate_;
  };
  Result<Turn> enter(const Uuid& vault);
  unsigned at_once() const { return at_once_; }
  size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

 private:
  static constexpr size_t kWaitingMax = 8;
  const unsigned at_once_;
  std::mutex mutex_;
  std::condition_variable freed_;
  unsigned running_ = 0;
  std::set<Uuid> waiting_;  // vaults, each once
};

}  // namespace merlon::vault
