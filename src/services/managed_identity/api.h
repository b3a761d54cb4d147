// Managed identities: Microsoft.ManagedIdentity/userAssignedIdentities with their federated identity
// credentials, and what machines have of them and of their own. An identity is a resource and, from the
// moment that it exists, a service principal that no secret can sign in: only a token of an issuer that one
// of its credentials names, or the agent of a machine that it is assigned to.
#pragma once

#include <memory>

#include "machine/platform.h"
#include "services/compute/api.h"

namespace merlon::managed_identity {

class Service;
using Handle = std::shared_ptr<Service>;  // one owner; shared so that it needs no whole type here

// Declares the resource types and answers the agents; works as long as what it gives back.
Handle install(Platform& platform, compute::Compute& compute);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::managed_identity
