// Counting failures.
#include "identity/sign_in_guard.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::identity {
namespace {

constexpr uint32_t kFree = 10;
constexpr Duration kFirstWait = std::chrono::seconds(1);
constexpr Duration kWaitMax = std::chrono::minutes(15);
constexpr Duration kForgetAfter = std::chrono::hours(1);  // without a failure

// IPv6 by /64: one customer has 2^64 addresses.
std::string source_key(const IpAddress& peer) {
  return "source|" + IpPrefix::make(peer, peer.is_v4() ? 32 : 64)->text();
}

}  // namespace

SignInGuard::Count* SignInGuard::find(const std::string& key) {
  const auto found = counts_.find(key);
  if (found == counts_.end()) return nullptr;
  if (clock_.boottime() - found->second.last > kForgetAfter) found->second.failures = 0;
  return &found->second;
}

SignInGuard::Count& SignInGuard::count(const std::string& key) {
  if (Count* known = find(key)) {
    order_.splice(order_.end(), order_, known->use);
    return *known;
  }
  if (counts_.size() >= entries_max_) {
    counts_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(key);
  Count& made = counts_[key];
  made.use = std::prev(order_.end());
  return made;
}

std::string SignInGuard::account_key(const std::string& account, const IpAddress& peer) {
  const std::string general = "account|" + ascii_lower(account);
  const std::string own = general + "|" + source_key(peer);
  const Count* known = find(own);
  return known != nullptr && known->familiar ? own : general;
}

void SignInGuard::add_failure(Count& count) const {
  const Duration now = clock_.boottime();
  count.last = now;
  if (++count.failures < kFree) return;
  const uint32_t doublings = std::min<uint32_t>(count.failures - kFree, 20);
  count.blocked_until = now + std::min(kWaitMax, kFirstWait * (int64_t{1} << doublings));
}

Duration SignInGuard::wait(const std::string& account, const IpAddress& peer) {
  const std::lock_guard lock(mutex_);
  Duration longest{0};
  for (const std::string& key : {account_key(account, peer), source_key(peer)})
    if (const Count* known = find(key)) longest = std::max(longest, known->blocked_until - clock_.boottime());
  return longest;
}

void SignInGuard::failed(const std::string& account, const IpAddress& peer) {
  const std::lock_guard lock(mutex_);
  add_failure(count(account_key(account, peer)));
  add_failure(count(source_key(peer)));
}

void SignInGuard::succeeded(const std::string& account, const IpAddress& peer) {
  const std::lock_guard lock(mutex_);
  for (const std::string& key : {account_key(account, peer), source_key(peer)})
    if (Count* known = find(key)) known->failures = 0;
  Count& own = count("account|" + ascii_lower(account) + "|" + source_key(peer));
  own.familiar = true;
  own.failures = 0;
}

size_t SignInGuard::size() const {
  const std::lock_guard lock(mutex_);
  return counts_.size();
}

}  // namespace merlon::identity
