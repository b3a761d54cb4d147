// User-assigned managed identities: Microsoft.ManagedIdentity/userAssignedIdentities and their federated
// identity credentials. An identity is a resource and, from the moment that it exists, a service principal
// that no secret can sign in: only a token of an issuer that one of its credentials names.
#pragma once

#include "machine/platform.h"

namespace merlon::managed_identity {

// Declares the resource types.
void install(Platform& platform);

}  // namespace merlon::managed_identity
