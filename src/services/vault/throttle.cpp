// Ten seconds after ten seconds, on the clock that never steps.
#include "services/vault/throttle.h"

namespace merlon::vault {
namespace {

constexpr Duration kWindow{10'000};
constexpr std::array<unsigned, 6> kOfOneVault{10, 20, 2'000, 4'000, 300, 4'000};
constexpr unsigned kVaultsOfASubscription = 5;  // its limit is five vaults'

}  // namespace

std::optional<unsigned> VaultThrottle::spend(const Uuid& vault, Cost cost) {
  const Duration now = clock_.boottime();
  const auto kind = static_cast<size_t>(cost.kind);
  const std::lock_guard lock(mutex_);
  if (now - window_ >= kWindow || now < window_) {
    window_ = now;
    vaults_.clear();
    all_ = {};
  }
  Spent& spent = vaults_[vault];
  if (spent[kind] + cost.weight > kOfOneVault[kind] ||
      all_[kind] + cost.weight > kVaultsOfASubscription * kOfOneVault[kind])
    return static_cast<unsigned>(std::chrono::ceil<std::chrono::seconds>(window_ + kWindow - now).count());
  spent[kind] += cost.weight;
  all_[kind] += cost.weight;
  return std::nullopt;
}

}  // namespace merlon::vault
