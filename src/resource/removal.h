// Taking resources away: their hooks may refuse, their children and role assignments go with them.
#pragma once

#include <vector>

#include "resource/state.h"

namespace merlon::resource {

// The resource with everything nested in it, innermost first. A ledger entry for each nested one.
Result<void> remove_resource(State& state, WriteContext& context, const Resource& resource);

// All resources of a group, those that point at others before what they point at. On a refusal the error is
// ResourceGroupDeletionBlocked and names who refused and why; the caller's transaction then leaves everything
// as it was.
Result<void> remove_group_resources(State& state, WriteContext& context, const ResourceId& group);

// Positions in `resources`, each before those that it points at or is nested in.
std::vector<size_t> dependents_first(const State& state, const std::vector<Resource>& resources);

// The ids at a link's path: "properties.ipConfigurations[].properties.subnet.id" may have many.
std::vector<std::string> ids_at(const JsonObject& body, std::string_view path);

}  // namespace merlon::resource
