// merlon jit request: from asking to closing.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace merlon::cli {

struct RequestOptions {
  std::string machine, resource_group, duration = "30m", justification;
  std::vector<std::string> ports, from;
  bool wait = false;
  std::vector<std::string> command;
};

Result<int> request_access(Context& context, const RequestOptions& options);

}  // namespace merlon::cli
