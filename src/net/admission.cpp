// Who may have one more connection (connection.h).
#include "net/connection.h"

namespace merlon::net {
namespace {

template <class Key>
void take_from(std::map<Key, size_t>& counts, const Key& key) {
  const auto found = counts.find(key);
  if (--found->second == 0) counts.erase(found);
}

}  // namespace

IpPrefix Admission::peer_key(const IpAddress& peer) {
  return IpPrefix::make(peer, peer.is_v4() ? 32 : 64).value_or(IpPrefix(peer));
}

bool Admission::enter(const IpAddress& peer) {
  const std::lock_guard lock(mutex_);
  if (all_ >= all_max_) return false;
  size_t& count = peers_[peer_key(peer)];
  if (count >= peer_max_) return false;
  ++count;
  ++all_;
  return true;
}

bool Admission::recognise(const IpAddress& peer, const std::string& certificate) {
  const std::lock_guard lock(mutex_);
  size_t& count = certificates_[certificate];
  if (count >= certificate_max_) return false;
  ++count;
  take_from(peers_, peer_key(peer));
  return true;
}

void Admission::leave(const IpAddress& peer, const std::string& certificate) {
  const std::lock_guard lock(mutex_);
  if (certificate.empty())
    take_from(peers_, peer_key(peer));
  else
    take_from(certificates_, certificate);
  --all_;
  changed_.notify_all();
}

bool Admission::wait_until_empty(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [this] { return all_ == 0; });
}

}  // namespace merlon::net
