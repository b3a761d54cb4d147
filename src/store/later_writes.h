// Writes that nobody waits with: for who has no thread to spare for the wait. A store that can do this is one
// of these as well; where it is none, write() is asked by a thread that may wait.
#pragma once

#include <functional>
#include <memory>

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
  // Says that write_later() is going to be asked within some milliseconds, when what is computed for it is
  // done. As long as somebody has one of these, a commit may wait a moment, so that it is shared.
  using Expected = std::shared_ptr<const void>;
  virtual Expected expect_write() { return nullptr; }
};

}  // namespace merlon::store
