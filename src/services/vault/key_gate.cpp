// See key_gate.h.
#include "services/vault/key_gate.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace merlon::vault {
namespace {

unsigned all_but_one_processor() {
  return static_cast<unsigned>(std::max(2L, ::sysconf(_SC_NPROCESSORS_ONLN)) - 1);
}

constexpr auto kPatience = std::chrono::seconds(5);

std::unexpected<Error> busy() {
  return fail(ErrorKind::throttled, "Throttled",
              "The server is making as many keys as it makes at once. Try again in two seconds.");
}

}  // namespace

KeyGate::KeyGate(unsigned at_once) : at_once_(at_once != 0 ? at_once : all_but_one_processor()) {}

Result<KeyGate::Turn> KeyGate::enter(const Uuid& vault) {
  std::unique_lock lock(mutex_);
  const auto is_free = [this] { return running_ < at_once_; };
  if (!is_free()) {
    if (waiting_.size() >= kWaitingMax || !waiting_.insert(vault).second) return busy();
    const bool came = freed_.wait_for(lock, kPatience, is_free);
    waiting_.erase(vault);
    if (!came) return busy();
  }
  ++running_;
  return Turn(*this);
}

KeyGate::Turn::~Turn() {
  if (gate_ == nullptr) return;
  const std::lock_guard lock(gate_->mutex_);
  --gate_->running_;
  gate_->freed_.notify_one();
}

}  // namespace merlon::vault
