// Threads that compute: one for each processor, for what takes up to some milliseconds of it and waits for
// nothing, like a signature by RSA. All of them are busy before anybody has to be woken, and none gets in
// another's way, as the many workers would, who mostly wait.
#pragma once

#include <functional>

#include "net/server.h"
#include "net/worker_pool.h"

namespace merlon::net {

// Gives `work`, which sees to it that `answer` is called in the end, to one of those threads. What it throws
// is answered as what a handler throws. False: too much waits already, and nothing has been done with it.
using Compute = std::function<bool(const LateAnswer& answer, std::function<void()> work)>;

class Computing {
 public:
  explicit Computing(size_t queue_max, unsigned threads = 0);  // 0: one for each processor
  bool submit(const LateAnswer& answer, std::function<void()> work);
  Compute compute() {
    return [this](const LateAnswer& answer, std::function<void()> work) {
      return submit(answer, std::move(work));
    };
  }

 private:
  WorkerPool pool_;
};

}  // namespace merlon::net
