// One request on its way through the pipeline (pipeline.h), and what is known of it so far.
#pragma once

#include "resource/pipeline.h"
#include "resource/throttle.h"

namespace merlon::resource {

struct Pipeline::Asked {
  Call call;
  Router::Match match;
  store::Reader* reader = nullptr;  // of answer_at_once()
  const Route* route = nullptr;
  Result<void> named;         // what is wrong with the ids in its path
  std::string action, scope;  // what the route's permission comes to for this request
  access::Decision decision;
  bool identified = false;
  std::optional<Throttle::Answer> admission{};
  std::string justification;  // as the handler left them, also when it failed
  JsonObject details;
};

}  // namespace merlon::resource
