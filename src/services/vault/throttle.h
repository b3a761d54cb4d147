// Key Vault's own limits on how much is asked of one vault in ten seconds, and of all vaults together
// (Microsoft Learn, "Azure Key Vault service limits"). In force where the Resource Manager's are, with
// --throttle; off otherwise: on machines of one's own nobody else needs protection.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "base/uuid.h"

namespace merlon::vault {

// What Azure counts apart from each other.
enum class Transaction { make_key_in_token, make_key, use_key_in_token, use_key, make_secret, other };

struct Cost {
  Transaction kind = Transaction::other;
  unsigned weight = 1;  // a long key's use costs several times a short one's
};

class VaultThrottle {
 public:
  explicit VaultThrottle(const Clock& clock) : clock_(clock) {}
  // Nothing when the request may go on; else after how many seconds it may. Thread-safe.
  std::optional<unsigned> spend(const Uuid& vault, Cost cost);

 private:
  using Spent = std::array<unsigned, 6>;  // by Transaction
  const Clock& clock_;
  std::mutex mutex_;
  Duration window_{};  // when the present ten seconds began
  std::map<Uuid, Spent> vaults_;
  Spent all_{};
};

}  // namespace merlon::vault
