// Threads, in one place. A pool finishes what it accepted; a full one says so at once instead of growing.
#include "net/worker_pool.h"

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace merlon::net {
namespace {

void name_this_thread(const std::string& name) {
  pthread_setname_np(pthread_self(),
                     name.substr(0, 15).c_str());  // 16 bytes with the NUL, pthread_setname_np(3)
}

void run_guarded(const std::string& name, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    log(LogLevel::error, "an exception left a unit of work", {{"thread", name}, {"cause", error.what()}});
  } catch (...) {
    log(LogLevel::error, "an unknown exception left a unit of work", {{"thread", name}});
  }
}

}  // namespace

struct WorkerPool::State {
  std::string name;
  size_t queue_max;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> queue;
  bool stopping = false;
  std::mutex join_mutex;
  std::vector<std::thread> threads;

  void work() {
    name_this_thread(name);
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      std::function<void()> next = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      run_guarded(name, next);
      next = nullptr;  // what it captured goes before the lock comes back
      lock.lock();
    }
  }
};

WorkerPool::WorkerPool(std::string name, unsigned threads, size_t queue_max)
    : state_(std::make_unique<State>()) {
  MERLON_CHECK(threads > 0);
  state_->name = std::move(name);
  state_->queue_max = queue_max;
  for (unsigned i = 0; i < threads; ++i)
    state_->threads.emplace_back([state = state_.get()] { state->work(); });
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::submit(std::function<void()> work) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopping || state_->queue.size() >= state_->queue_max) return false;
    state_->queue.push_back(std::move(work));
  }
  state_->changed.notify_one();
  return true;
}

void WorkerPool::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  const std::lock_guard lock(state_->join_mutex);
  for (std::thread& thread : state_->threads) {
    MERLON_CHECK(thread.get_id() != std::this_thread::get_id());
    thread.join();
  }
  state_->threads.clear();
}

struct Periodic::State {
  std::string name;
  std::chrono::milliseconds period;
  std::function<void()> work;
  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  bool woken = false;
  std::thread thread;

  void run() {
    name_this_thread(name);
    std::unique_lock lock(mutex);
    while (!stopping) {
      changed.wait_for(lock, period, [this] { return stopping || woken; });
      if (stopping) return;
      woken = false;  // before the work: a wake() that comes during it is not lost
      lock.unlock();
      run_guarded(name, work);
      lock.lock();
    }
  }
};

Periodic::Periodic(std::string name, unsigned period_ms, std::function<void()> work)
    : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  state_->period = std::chrono::milliseconds(period_ms);
  state_->work = std::move(work);
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

Periodic::~Periodic() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

void Periodic::wake() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->woken = true;
  }
  state_->changed.notify_all();
}

}  // namespace merlon::net
