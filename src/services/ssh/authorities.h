// The tenant's three SSH keys, made on the first start and sealed. One authority for people and another for
// machines: what a person holds must open no machine, and what the bastion holds must be nobody's sign-in.
#pragma once

#include <string_view>

#include "resource/core.h"
#include "ssh/certificate.h"

namespace merlon::ssh_identity {

class Authorities {
 public:
  static const store::TableSpec& table();
  static Result<Authorities> open(const resource::Core& core);
  const crypto::PrivateKey& people() const { return people_; }
  const crypto::PrivateKey& machines() const { return machines_; }
  const crypto::PrivateKey& host() const { return host_; }

 private:
  Authorities(crypto::PrivateKey people, crypto::PrivateKey machines, crypto::PrivateKey host)
      : people_(std::move(people)), machines_(std::move(machines)), host_(std::move(host)) {}
  crypto::PrivateKey people_, machines_, host_;
};

}  // namespace merlon::ssh_identity
