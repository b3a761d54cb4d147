// What hangs on a scope and is another room's goes with it when it is deleted. The Resource Manager
// (manager.h) is one of these as well.
#pragma once

#include <functional>

#include "resource/resource_id.h"
#include "store/store.h"

namespace merlon::resource {

class ForgottenScopes {
 public:
  virtual ~ForgottenScopes() = default;
  // In the transaction that deletes a resource or a group. Before the first request.
  using Forget = std::function<Result<void>(store::Transaction&, const ResourceId&)>;
  virtual void on_forgotten(Forget forget) = 0;
};

}  // namespace merlon::resource
