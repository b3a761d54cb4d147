// See key_contexts.h.
#include "crypto/key_contexts.h"

#include <utility>

namespace merlon::crypto {

KeyContextHandle KeyContexts::take(ContextUse use, const SignAlgorithm& algorithm) {
  const std::lock_guard lock(mutex_);
  for (auto at = waiting_.rbegin(); at != waiting_.rend(); ++at) {
    if (at->use != use || at->algorithm != &algorithm) continue;
    KeyContextHandle found = std::move(at->context);
    waiting_.erase(std::next(at).base());
    return found;
  }
  return nullptr;
}

void KeyContexts::keep(ContextUse use, const SignAlgorithm& algorithm, KeyContextHandle context) {
  KeyContextHandle oldest;  // freed without the mutex
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kWaitingMax) {
    oldest = std::move(waiting_.front().context);
    waiting_.erase(waiting_.begin());
  }
  waiting_.push_back({use, &algorithm, std::move(context)});
}

}  // namespace merlon::crypto
