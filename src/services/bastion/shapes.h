// The shapes of the bastion's documents and bodies.
#pragma once

#include "schema/shape.h"

namespace merlon::bastion {

schema::Shape host_shape();
schema::Shape machines_shape();  // {"vms":[{"vm":{"id":…}}]}
schema::Shape links_shape();     // the same, and what Azure's links do not have
schema::Shape tokens_shape();    // {"tokens":[…]}
schema::Shape session_ids_shape();

}  // namespace merlon::bastion
