// What has been found out about access tokens already. Verifying a signature costs more than all the rest of
// a read, and a client sends the same token for an hour.
//
// Nothing here is believed longer than it is true: claims hold as long as the signing keys are those that
// verified them (their generation), a principal as long as no table that was read for it has changed
// (store.h, state_mark()), and the times are looked at on each use. Tokens are known by their SHA-256: none
// is kept.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "crypto/digest.h"
#include "identity/bearer.h"

namespace merlon::identity {

struct KnownToken {
  std::string key_generation;
  TokenClaims claims;
  std::array<bool, 3> is_for{};        // each Api (issuer.h): what follows from the claims alone
  std::vector<std::string> tables;     // that were read for the keys and `principal`
  std::optional<uint64_t> state;       // of those tables
  std::optional<Principal> principal;  // without an address: that is each request's own
};

// Bounded. Thread-safe.
class KnownTokens {
 public:
  using Name = crypto::Sha256Digest;
  static Name name_of(std::string_view token);

  std::shared_ptr<const KnownToken> find(const Name& name);
  void keep(const Name& name, std::shared_ptr<const KnownToken> token);

 private:
  // A digest is as good a hash as any.
  struct FirstBytes {
    size_t operator()(const Name& name) const;
  };
  using Map = std::unordered_map<Name, std::shared_ptr<const KnownToken>, FirstBytes>;

  std::mutex mutex_;
  Map recent_;
  Map older_;  // gone as soon as `recent_` is full
};

}  // namespace merlon::identity
