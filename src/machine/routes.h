// The Merlon.Machines routes: tokens, machines, enforcement.
#pragma once

#include "machine/fleet.h"

namespace merlon::machine {

void add_routes(Fleet& fleet);

}  // namespace merlon::machine
