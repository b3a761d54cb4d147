// What has begun and not ended yet: counted, and waited for by whoever owns what it needs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace merlon {

// Thread-safe. Outlives its holds; wait_for_all() returns when there are none.
class UnderWay {
 public:
  class Hold {
   public:
    explicit Hold(UnderWay& all) : all_(all) {
      const std::lock_guard lock(all_.mutex_);
      ++all_.count_;
    }
    ~Hold() {
      // Notified under the mutex: whoever waits for this one destroys the condition.
      const std::lock_guard lock(all_.mutex_);
      --all_.count_;
      all_.one_ended_.notify_all();
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    UnderWay& all_;
  };

  size_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  void wait_for_all() {
    std::unique_lock lock(mutex_);
    one_ended_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable one_ended_;
  size_t count_ = 0;
};

}  // namespace merlon
