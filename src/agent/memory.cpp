// jemalloc's settings (its manual, mallctl).
#include "agent/memory.h"

#include <sys/types.h>

#include <string>

#include "base/log.h"

// Weak: in a build with sanitizers the allocator is theirs.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_length, void* new_value,
                       size_t new_length) __attribute__((weak));

namespace merlon::agent {

namespace {

void set(const std::string& name, ssize_t value) {
  if (mallctl(name.c_str(), nullptr, nullptr, &value, sizeof value) != 0)
    log(LogLevel::warning, "free memory is kept for longer", {{"setting", name}});
}

// An arena without a thread is not there yet, and takes what is set for those to come.
bool is_there(const std::string& arena) {
  ssize_t value = 0;
  size_t size = sizeof value;
  return mallctl((arena + ".dirty_decay_ms").c_str(), &value, &size, nullptr, 0) == 0;
}

}  // namespace

void give_memory_back() {
  if (mallctl == nullptr) return;
  set("arenas.dirty_decay_ms", 0);
  set("arenas.muzzy_decay_ms", 0);
  // The number that stands for all arenas (MALLCTL_ARENAS_ALL) is for purging, and not for this.
  unsigned arenas = 0;
  size_t size = sizeof arenas;
  if (mallctl("arenas.narenas", &arenas, &size, nullptr, 0) != 0) return;
  for (unsigned i = 0; i < arenas; ++i) {
    const std::string arena = "arena." + std::to_string(i);
    if (!is_there(arena)) continue;
    set(arena + ".dirty_decay_ms", 0);
    set(arena + ".muzzy_decay_ms", 0);
  }
}

}  // namespace merlon::agent
