// The authority that agents' certificates come from: separate from the one for TLS servers, its key sealed
// (trust.md, Keys).
#pragma once

#include <string>

#include "crypto/key.h"
#include "resource/core.h"

namespace merlon::machine {

inline constexpr auto kAgentCertificateLifetime = std::chrono::hours(24 * 30);

class AgentsAuthority {
 public:
  static Result<AgentsAuthority> open(const resource::Core& core);
  const std::string& certificate_pem() const { return certificate_pem_; }
  // A client certificate for the machine's key. The name in it is for people: an agent is known by its key
  // alone.
  Result<std::string> issue(const resource::Core& core, const crypto::PublicKey& key,
                            const std::string& machine_id) const;
  static const store::TableSpec& table();

 private:
  AgentsAuthority(std::string pem, crypto::PrivateKey key)
      : certificate_pem_(std::move(pem)), key_(std::move(key)) {}
  std::string certificate_pem_;
  crypto::PrivateKey key_;
};

}  // namespace merlon::machine
