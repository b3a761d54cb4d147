// The signing keys of foreign token issuers: found by OpenID Connect Discovery, kept in memory for a bounded
// time, fetched again when a token names a key that is not among them, and never used beyond that time: an
// issuer that has withdrawn a key, or that cannot be asked, is not believed for longer.
//
// Strangers decide when this is asked, so a fetch happens only for an issuer that some credential names (the
// caller's duty), once at a time for each, not again within seconds of the last. Whoever fetches or waits has
// one of the server's workers, and people who may write credentials choose who is asked, and how long that
// takes: few at once are asked or waited for, over all issuers, and fewer of those that have never answered.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "crypto/key.h"
#include "net/fetch.h"

namespace merlon::identity {

// One key of a JSON Web Key Set that can verify signatures.
struct ForeignKey {
  std::string id;         // kid; may be empty
  std::string algorithm;  // JOSE's name when the issuer says it
  crypto::PublicKey key;
};

// Those of a set (RFC 7517 section 5) that are public, for signatures, and of a kind and length that we
// accept; the others are passed over, as the RFC says.
Result<std::vector<ForeignKey>> parse_foreign_keys(std::string_view jwks);

// How a server reaches issuers; `at_private_addresses` are those that its operator allows to be inside the
// network, each with its own host and port and no other.
struct IssuerAccess {
  net::Fetch fetch;
  std::vector<std::string> at_private_addresses;
};

class ForeignIssuers {
 public:
  ForeignIssuers(IssuerAccess access, const Clock& clock) : access_(std::move(access)), clock_(clock) {}

  using Keys = std::shared_ptr<const std::vector<ForeignKey>>;
  // May block for as long as fetching takes: never within a transaction. `unavailable` when the issuer cannot
  // be asked or when too many wait for it, or for others. The keys may lack `key_id`, when the issuer has no
  // such key.
  Result<Keys> keys(const std::string& issuer, const std::string& authorities_pem, std::string_view key_id);

 private:
  struct Entry {
    Keys keys;
    // Since boot, so that no step of the clock prolongs a belief.
    Duration expires{};   // nothing is believed from here on
    Duration renew_at{};  // fetched again from here on, as the old keys are still good
    Duration attempted{};
    std::string failure;  // of the last attempt; empty after a good one
    bool fetching = false;
    int waiting = 0;
  };

  Result<Keys> fetch(const std::string& issuer, const std::string& authorities_pem, Duration& lifetime) const;
  bool wants_fetch(const Entry& entry, std::string_view key_id, Duration now) const;
  void forget_old(Duration now);
  struct Room {
    int fetching = 0, waiting = 0;
  };
  Room& room_of(const Entry& entry) { return entry.keys ? for_known_ : for_others_; }
  void ask(std::unique_lock<std::mutex>& lock, Entry& entry, const std::string& issuer,
           const std::string& authorities_pem);

  const IssuerAccess access_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable fetched_;
  Room for_known_, for_others_;                        // issuers that have answered before, and others
  std::map<std::string, Entry, std::less<>> entries_;  // by issuer and whom its certificate must come from
};

}  // namespace merlon::identity
