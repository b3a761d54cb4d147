// The declared shape of Microsoft.Compute/virtualMachines.
#pragma once

#include "schema/shape.h"

namespace merlon::compute {

schema::Shape virtual_machine_shape();

}  // namespace merlon::compute
