// $expand on GET: the references that a document holds come with what they name.
#pragma once

#include <string>

#include "resource/state.h"

namespace merlon::resource {

// `asked` is the value of $expand: "subnets,networkInterfaces/ipConfigurations", names of members of
// "properties", one step behind another. A reference is replaced by the resource as its own GET shows it,
// when the caller may read it, and else left as it is. Errors: InvalidExpandQueryOption for what the type
// does not have, or too much at once.
Result<JsonObject> expand(const State& state, const Call& call, store::Reader& reader,
                          const schema::Shape& shape, JsonObject body, std::string_view asked);

}  // namespace merlon::resource
