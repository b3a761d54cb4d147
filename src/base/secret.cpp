// Wiping that the compiler may not remove.
#include "base/secret.h"

#include <cstring>

namespace merlon {

void Secret::wipe() noexcept {
  if (!bytes_.empty()) ::explicit_bzero(bytes_.data(), bytes_.size());
  bytes_.clear();
}

}  // namespace merlon
