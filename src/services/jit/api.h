// Just-in-time VM access: Microsoft.Security/locations/jitNetworkAccessPolicies and its initiate action
// (contract jit.md). A policy closes management ports by overlay deny rules; an accepted request opens one
// for one source until a deadline, as a grant with kernel-timed openings on the machine.
#pragma once

#include <memory>

#include "machine/platform.h"
#include "services/compute/api.h"
#include "services/network/api.h"

namespace merlon::jit {

class Jit {
 public:
  virtual ~Jit() = default;
};

std::unique_ptr<Jit> install(Platform& platform, compute::Compute& compute, network::Network& network);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::jit
