// What a service's install() is given: everything below the services, by hand.
#pragma once

#include "grant/grant.h"
#include "machine/machines.h"
#include "resource/manager.h"

namespace merlon {

struct Platform {
  const resource::Core& core;
  resource::Manager& resources;
  grant::Grants& grants;
  machine::Machines& machines;
};

}  // namespace merlon
