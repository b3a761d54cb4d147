// The route that makes a person administrator and retires the bootstrap credential.
#pragma once

#include "resource/manager.h"

namespace merlon::server {

void add_administrators_route(const resource::Core& core, resource::Manager& manager);

}  // namespace merlon::server
