// Keeping tokens.
#include "agent/token_cache.h"

#include <algorithm>
#include <array>

namespace merlon::agent {
namespace {

constexpr size_t kKeptMax = 4096;
constexpr Duration kLastMinutes{300'000};

}  // namespace

bool is_refusal(const Error& error) {
  static constexpr std::array<std::string_view, 8> kCodes = {
      "IdentityNotFound",   "CallerNotAllowed",   "InvalidResource",    "IdentityDisabled",
      "MachineNotEnrolled", "MachineQuarantined", "CertificateExpired", "InvalidRequestContent"};
  return std::ranges::find(kCodes, std::string_view(error.code)) != kCodes.end();
}

TokenCache::Found TokenCache::found(const Kept& kept) const {
  return {kept.answer, std::chrono::floor<std::chrono::seconds>(kept.until - clock_.boottime())};
}

Result<TokenCache::Found> TokenCache::get(const machine::TokenRequest& request) {
  const Key key(request.client_id, request.audience, request.caller);
  const Duration asked = clock_.boottime();
  uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex_);
    generation = generation_;
    if (const auto known = kept_.find(key); known != kept_.end() && asked < known->second.fresh_until)
      return found(known->second);
  }
  auto answer = source_.token(request);
  const std::lock_guard lock(mutex_);
  if (!answer) {
    const auto known = kept_.find(key);
    if (known == kept_.end()) return std::unexpected(std::move(answer).error());
    if (is_refusal(answer.error()) || clock_.boottime() >= known->second.until - kLastMinutes) {
      kept_.erase(known);
      return std::unexpected(std::move(answer).error());
    }
    return found(known->second);
  }
  // Counted from the moment that it was asked for: rather too short than too long.
  const Duration life = std::chrono::duration_cast<Duration>(answer->expires - answer->server_time);
  Kept kept{.answer = *std::move(answer), .until = asked + life, .fresh_until = asked + life / 2};
  if (generation != generation_) return found(kept);
  if (kept_.size() >= kKeptMax) kept_.clear();
  return found(kept_.insert_or_assign(key, std::move(kept)).first->second);
}

void TokenCache::clear() {
  const std::lock_guard lock(mutex_);
  kept_.clear();
  ++generation_;
}

}  // namespace merlon::agent
