// The queue in front of a writer.
#include "store/write_queue.h"

#include <unistd.h>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "base/log.h"

namespace merlon::store {
namespace {

constexpr int kExitIoError = 74;

template <class Function>
Result<void> guarded(const char* what, const Function& function) {
  try {
    return function();
  } catch (const std::exception& exception) {
    return internal_error(std::string(what) + " threw: " + exception.what());
  } catch (...) {
    return internal_error(std::string(what) + " threw something that is no std::exception");
  }
}

// Nobody else would hear of what it throws.
void tell(std::unique_ptr<WaitingWrite> write) {
  const auto tell_it = std::move(write->told);
  Result<void> result = std::move(write->result);
  write.reset();  // what the work needed is the other's alone from here on
  const auto told = guarded("what was to be told of a write", [&]() -> Result<void> {
    tell_it(std::move(result));
    return {};
  });
  if (!told) log(LogLevel::error, "telling of a write threw", {{"what", told.error().cause}});
}

}  // namespace

Result<void> WriteQueue::write(const Work& work) {
  WaitingWrite waiting{.work = &work, .result = {}, .effects = {}};
  {
    const std::lock_guard lock(mutex_);
    MERLON_CHECK(std::this_thread::get_id() != owner_);
    queue_.push_back(&waiting);
    if (is_wanted()) wake_.notify_one();
  }
  std::unique_lock lock(waiting.mutex);
  waiting.finished.wait(lock, [&] { return waiting.done; });
  return std::move(waiting.result);
}

void WriteQueue::write_later(Work work, LaterWrites::Told told) {
  auto waiting = std::make_unique<WaitingWrite>();
  waiting->own_work = std::move(work);
  waiting->work = &waiting->own_work;
  waiting->told = std::move(told);
  const std::lock_guard lock(mutex_);
  queue_.push_back(waiting.release());  // release() has it again
  if (is_wanted()) wake_.notify_one();
}

// Outlived by the queue: whoever expects to write needs the store.
LaterWrites::Expected WriteQueue::expect_write() {
  const std::lock_guard lock(mutex_);
  ++expected_;
  return LaterWrites::Expected(this, [](WriteQueue* self) {
    const std::lock_guard held(self->mutex_);
    --self->expected_;
    if (self->company_ && self->is_wanted()) self->wake_.notify_one();
  });
}

// Under the mutex: whether the owner, if it sleeps, is to go on.
bool WriteQueue::is_wanted() const {
  if (!company_) return queue_.size() == 1;
  const size_t come = company_->come + queue_.size();
  return come >= expected_ || come >= company_->enough;
}

void WriteQueue::before_commit(BeforeCommit hook) {
  const std::lock_guard lock(mutex_);
  MERLON_CHECK(!hook_);
  hook_ = std::move(hook);
}

const BeforeCommit* WriteQueue::hook() {
  const std::lock_guard lock(mutex_);
  return hook_ ? &hook_ : nullptr;
}

void WriteQueue::belongs_to_this_thread() {
  const std::lock_guard lock(mutex_);
  owner_ = std::this_thread::get_id();
}

void WriteQueue::add(WaitingWrite& write) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(&write);
}

WaitingWrite* WriteQueue::take() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) return nullptr;
  WaitingWrite* next = queue_.front();
  queue_.pop_front();
  return next;
}

std::optional<bool> WriteQueue::wait(std::optional<std::chrono::milliseconds> patience) {
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return stopping_ || !queue_.empty(); };
  if (!patience) {
    wake_.wait(lock, ready);
  } else if (!wake_.wait_for(lock, *patience, ready)) {
    return std::nullopt;
  }
  return !queue_.empty();
}

bool WriteQueue::wait_until(std::chrono::steady_clock::time_point end) {
  std::unique_lock lock(mutex_);
  return wake_.wait_until(lock, end, [this] { return !queue_.empty(); });
}

bool WriteQueue::wait_for_expected(std::chrono::steady_clock::time_point end, const Company& company) {
  std::unique_lock lock(mutex_);
  company_ = company;
  wake_.wait_until(lock, end, [this] { return is_wanted() || stopping_; });
  company_.reset();
  return !queue_.empty();
}

bool WriteQueue::expects() {
  const std::lock_guard lock(mutex_);
  return expected_ > 0;
}

size_t WriteQueue::size() {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

void WriteQueue::release(const std::vector<WaitingWrite*>& writes) {
  for (WaitingWrite* write : writes) {
    if (write->told) {
      tell(std::unique_ptr<WaitingWrite>(write));
      continue;
    }
    // Notified under the lock: a caller that sees `done` may destroy its condition variable only after we let
    // go.
    const std::lock_guard lock(write->mutex);
    write->done = true;
    write->finished.notify_one();
  }
}

void WriteQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

Result<void> run_guarded(const Work& work, Transaction& transaction) {
  return guarded("a write", [&] { return work(transaction); });
}

Result<void> run_guarded(const BeforeCommit& hook, Transaction& transaction,
                         const std::vector<std::any>& handed_over) {
  return guarded("the before-commit hook", [&] { return hook(transaction, handed_over); });
}

Result<void> run_guarded(const std::function<Result<void>(Reader&)>& work, Reader& reader) {
  return guarded("a read", [&] { return work(reader); });
}

void run_effects(const Effects& effects) {
  for (const auto& effect : effects) {
    const auto done = guarded("an effect after a commit", [&]() -> Result<void> {
      effect();
      return {};
    });
    if (!done) log(LogLevel::error, "an effect after a commit threw", {{"what", done.error().cause}});
  }
}

void end_process(const char* doing, const Error& error) {
  log_error("STORAGE FAILED, the server ends: check the disk and the database, then start it again", error,
            {{"doing", doing}});
  ::_exit(kExitIoError);
}

}  // namespace merlon::store
