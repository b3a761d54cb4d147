// jemalloc's settings (its manual, mallctl).
#include "agent/memory.h"

#include <sys/types.h>

#include <string_view>

#include "base/log.h"

// Weak: in a build with sanitizers the allocator is theirs.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_length, void* new_value,
                       size_t new_length) __attribute__((weak));

namespace merlon::agent {

void give_memory_back() {
  if (mallctl == nullptr) return;
  // Of the arenas that are still to come, and of all that there are (4096: MALLCTL_ARENAS_ALL).
  for (const char* const name : {"arenas.dirty_decay_ms", "arenas.muzzy_decay_ms",
                                 "arena.4096.dirty_decay_ms", "arena.4096.muzzy_decay_ms"}) {
    ssize_t at_once = 0;
    if (mallctl(name, nullptr, nullptr, &at_once, sizeof at_once) != 0)
      log(LogLevel::warning, "free memory is kept for longer", {{"setting", name}});
  }
}

}  // namespace merlon::agent
