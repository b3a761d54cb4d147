// Writes that nobody waits with: for who has no thread to spare for the wait. A store that can do this is one
// of these as well; where it is none, write() is asked by a thread that may wait.
#pragma once

#include <functional>

#include "store/store.h"

namespace merlon::store {

class LaterWrites {
 public:
  virtual ~LaterWrites() = default;
  // Store::write() without waiting for it. `told` gets once what that would have returned: on the writer's
  // thread, where it must be quick and must not call write() (write_later() it may), or on the caller's
  // before this returns. What both need must live until then.
  using Told = std::function<void(Result<void>)>;
  virtual void write_later(std::function<Result<void>(Transaction&)> work, Told told) = 0;
};

}  // namespace merlon::store
