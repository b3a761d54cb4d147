// Which machines have an identity: userAssignedIdentities/NAME/listAssociatedResources.
#pragma once

#include "machine/platform.h"

namespace merlon::managed_identity {

void add_associated_route(Platform& platform);

}  // namespace merlon::managed_identity
