// Whether somebody may see a thing, for what leaves out rather than refuses: lists, graphs, and what an
// answer tells beside what was asked.
#pragma once

#include <string_view>

#include "identity/principal.h"
#include "resource/core.h"

namespace merlon::resource {

// The right is there, and no step-up policy stands in its way.
Result<bool> permitted(const Core& core, store::Reader& reader, const identity::Principal& principal,
                       std::string_view action, std::string_view scope);
// Whether a right at a scope may be less below it: somebody is denied something, or must step up for it.
Result<bool> may_narrow(const Core& core, store::Reader& reader);

}  // namespace merlon::resource
