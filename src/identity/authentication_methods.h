// People's authentication methods beside Graph's other resources: Graph's own addresses where it has them
// (users/{id}/authentication/methods, softwareOathMethods), and names under merlon where it has none.
#pragma once

#include <vector>

#include "identity/graph.h"

namespace merlon::identity {

std::vector<GraphRoute> authentication_routes();

}  // namespace merlon::identity
