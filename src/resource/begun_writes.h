// Requests that are answered once their change is durable, without a thread that waits for that. The Resource
// Manager (manager.h) is one of these as well.
#pragma once

#include <memory>
#include <string>

#include "net/server.h"

namespace merlon::resource {

class BegunWrites {
 public:
  virtual ~BegunWrites() = default;
  // Begins a write that takes no waiting but for its commit, and answers when that is done. False: nothing
  // has happened, and a worker is to be asked. Its owner waits, at the end of its life, for all that has
  // begun.
  virtual bool begin_at_once(const std::shared_ptr<const net::Request>& request, const std::string& origin,
                             const net::LateAnswer& answer) = 0;
};

}  // namespace merlon::resource
