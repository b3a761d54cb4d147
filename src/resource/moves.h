// Resources that go to another resource group (Microsoft Learn, "Move Azure resources to a new resource group
// or subscription"): all that are named, with everything nested in them, or none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "resource/state.h"

namespace merlon::resource {

struct MovePlan {
  ResourceId source, target;        // groups
  std::vector<Resource> resources;  // named and nested
  // An error where it would be no id any more: one may be 2,048 characters long.
  Result<ResourceId> moved(const ResourceId& id) const;
};

// What a request asks for, when nothing holds it back. Errors: 404 for what is not there, 400 for what is no
// move, 409 ResourceMoveProviderValidationFailed with a detail for each thing that is in the way.
Result<MovePlan> plan_move(const State& state, const Call& call, store::Reader& reader);

// In the caller's transaction. Locks on the resources go along; role assignments on them end, as in Azure.
Result<void> carry_out_move(State& state, WriteContext& context, const MovePlan& plan);

}  // namespace merlon::resource
