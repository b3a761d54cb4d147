// Resources that go to another resource group (Microsoft Learn, "Move Azure resources to a new resource group
// or subscription"): all that are named, with everything nested in them, or none.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "resource/state.h"

namespace merlon::resource {

struct MovePlan {
  ResourceId source, target;        // groups
  std::vector<Resource> resources;  // named and nested
  // An error where it would be no id any more: one may be 2,048 characters long.
  Result<ResourceId> moved(const ResourceId& id) const;
};

// The documents that were gone through for references to what moves. They are looked for in a snapshot,
// before the transaction, which then looks only at what has changed since: everything else waits for it.
struct SearchedReferences {
  std::optional<uint64_t> mark;                     // of the state of all documents (store.h, state_mark())
  std::unordered_map<std::string, size_t> without;  // by key: the hash of a text that refers to none
};

// What a request asks for, when nothing holds it back. Errors: 404 for what is not there, 400 for what is no
// move, 409 ResourceMoveProviderValidationFailed with a detail for each thing that is in the way.
Result<MovePlan> plan_move(const State& state, const Call& call, store::Reader& reader,
                           SearchedReferences& searched);

// In the caller's transaction. Locks on the resources go along; role assignments on them end, as in Azure.
Result<void> carry_out_move(State& state, WriteContext& context, const MovePlan& plan);

}  // namespace merlon::resource
