// The two ends of error handling that are not values: internal errors get their public text here, and broken
// invariants end the process.
#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace merlon {

std::unexpected<Error> internal_error(std::string cause) {
  Error error;
  error.kind = ErrorKind::internal;
  error.code = "InternalServerError";
  error.message =
      "Merlon could not complete the request because of a fault of its own. The server's log has the "
      "details.";
  error.cause = std::move(cause);
  return std::unexpected(std::move(error));
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "merlon: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace merlon
