// A fixed number of threads and a bounded queue. The one place in the product that makes threads for work.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace merlon::net {

class WorkerPool {
 public:
  WorkerPool(std::string name, unsigned threads, size_t queue_max);
  ~WorkerPool();  // finishes what is queued
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  bool submit(std::function<void()> work);  // false when the queue is full or the pool is stopping
  void stop();                              // waits for what runs, drops nothing; idempotent

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Calls `work` every `period` on a thread of its own until destroyed; wake() calls it at once. For expiry,
// leases, renewals.
class Periodic {
 public:
  Periodic(std::string name, unsigned period_ms, std::function<void()> work);
  ~Periodic();
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;
  void wake();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace merlon::net
